/* umbel-mock-tim - Tencent Cloud IM for tests and the demo.  See README.md.
 * Exit codes: 0 ended by a signal or --help, 1 could not start, 2 usage. */
#include "mock.h"

int main(int argc, char **argv)
{
    static struct mock mock;
    int r = options_read(argc, argv, &mock.options);

    if (r >= 0)
        return r;
    r = server_open(&mock);
    if (!r)
        server_run(&mock);
    server_close(&mock);
    return r ? 1 : 0;
}
