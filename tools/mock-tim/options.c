#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: umbel-mock-tim [OPTION...]\n"
    "Tencent Cloud IM for tests and the demo: the REST service, its webhooks, and what each user would see.\n\n"
    "  --listen ADDR:PORT    the REST service; port 0 = any free one (default 127.0.0.1:18090);\n"
    "                        the first line printed is 'listening on ADDR:PORT', the second 'control on ADDR:PORT'\n"
    "  --control ADDR:PORT   the /mock/... commands (default 127.0.0.1:0)\n"
    "  --webhook URL         where callbacks are sent, http://ADDR:PORT/PATH\n"
    "  --sdk-app-id N        (default 1400000000)\n"
    "  --key TEXT            key of the application (default mock-tim-key)\n"
    "  --token TEXT          callback token (default tea-token)\n"
    "  --admin NAME          (default administrator)\n"
    "  --rate N              calls a second, over it 60007; 0 = any number (default 200)\n"
    "  --latency-ms MS       before each reply (default 2)\n"
    "  --silence-ms MS       after which a TIMStreamElem is ended (default 15000)\n"
    "  --message-max BYTES   of one MsgBody (default 12288)\n"
    "  --seed N              of what is injected by chance (default 1)\n"
    "  --help                this text\n\n"
    "  POST /v4/SERVICE/COMMAND   as the service; accounts that begin with 'nobody' do not exist\n"
    "  POST /mock/write           {\"user\",\"bot\",\"text\"}: a user writes to a bot; answers with what the webhook said\n"
    "  POST /mock/group           {\"user\",\"group\",\"bot\",\"text\"}: a user mentions a bot in a group\n"
    "  POST /mock/stop            {\"user\",\"bot\",\"key\"?,\"after\"?}: the stop button; key: else that of the last message\n"
    "  POST /mock/replay          the last callback again, to the byte; {\"sign\":..} or {\"sdkappid\":..} forges it\n"
    "  POST /mock/inject          {\"command\"?,\"user\"?,\"what\":[\"70001\",\"disconnect\",\"lost\",\"http:502\",\"slow:800\"],\n"
    "                              \"percent\"?,\"count\"?,\"final\"?}: what goes wrong\n"
    "  POST /mock/outage          {\"seconds\"}: the service is not there\n"
    "  POST /mock/reset           forgets messages, rules, counters\n"
    "  GET  /mock/chat?user=U&bot=B, /mock/group?group=G, /mock/chats   what is seen\n"
    "  GET  /mock/stats           counters, the most calls in a second, violations, what was injected\n";

static int bad(const char *what)
{
    fprintf(stderr, "umbel-mock-tim: %s\nTry umbel-mock-tim --help\n", what);
    return 2;
}

int options_read(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {
        {"listen", 1, NULL, 'l'}, {"control", 1, NULL, 'c'}, {"webhook", 1, NULL, 'w'}, {"sdk-app-id", 1, NULL, 'i'},
        {"key", 1, NULL, 'k'},    {"token", 1, NULL, 't'},   {"admin", 1, NULL, 'a'},   {"rate", 1, NULL, 'r'},
        {"latency-ms", 1, NULL, 'L'}, {"silence-ms", 1, NULL, 'S'}, {"message-max", 1, NULL, 'm'}, {"seed", 1, NULL, 's'},
        {"help", 0, NULL, 'h'},   {NULL, 0, NULL, 0}};
    int c;

    *options = (struct options){.listen = "127.0.0.1:18090", .control = "127.0.0.1:0", .key = "mock-tim-key", .token = "tea-token",
                                .admin = "administrator", .sdk_app_id = 1400000000, .rate = 200, .latency_ms = 2, .silence_ms = 15000,
                                .message_max = 12288, .seed = 1};
    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        unsigned long long number = 0;
        if (strchr("irLSms", c)) {
            char *end;
            number = strtoull(optarg, &end, 10);
            if (!*optarg || *end || *optarg == '-' || number > (c == 'i' || c == 's' ? UINT64_MAX : UINT32_MAX))
                return bad("a number is expected");
        }
        switch (c) {
        case 'l': options->listen = optarg; break;
        case 'c': options->control = optarg; break;
        case 'w': options->webhook = optarg; break;
        case 'k': options->key = optarg; break;
        case 't': options->token = optarg; break;
        case 'a': options->admin = optarg; break;
        case 'i': options->sdk_app_id = number; break;
        case 'r': options->rate = (uint32_t)number; break;
        case 'L': options->latency_ms = (uint32_t)number; break;
        case 'S': options->silence_ms = (uint32_t)number; break;
        case 'm': options->message_max = (uint32_t)number; break;
        case 's': options->seed = number; break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs("Try umbel-mock-tim --help\n", stderr);
            return 2;
        }
    }
    return optind == argc ? -1 : bad("there are no arguments but options");
}
