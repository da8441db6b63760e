/* umbel-mock-llm - an OpenAI-compatible server for tests, the demo and benchmarks.  See README.md.
 * Exit codes: 0 ended by a signal or --help, 1 could not start, 2 usage. */
#include "options.h"
#include "server.h"

int main(int argc, char **argv)
{
    static struct server server;
    struct options options;
    int r = options_read(argc, argv, &options);

    if (r >= 0)
        return r;
    r = server_open(&server, &options);
    if (!r)
        server_run(&server);
    server_close(&server);
    return r ? 1 : 0;
}
