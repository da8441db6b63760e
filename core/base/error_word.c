#include <umbel/event.h>

const char *umbel_error_word(uint32_t error)
{
    static const char *const words[] = {[0] = "none",
                                        [UMBEL_ERROR_AUTH] = "auth",
                                        [UMBEL_ERROR_QUOTA] = "quota",
                                        [UMBEL_ERROR_RATE] = "rate",
                                        [UMBEL_ERROR_BUSY] = "busy",
                                        [UMBEL_ERROR_BAD_REQUEST] = "request",
                                        [UMBEL_ERROR_UPSTREAM] = "upstream",
                                        [UMBEL_ERROR_TIMEOUT] = "timeout",
                                        [UMBEL_ERROR_INTERNAL] = "internal",
                                        [UMBEL_ERROR_NOT_FOUND] = "unknown",
                                        [UMBEL_ERROR_POSITION] = "position"};

    return words[error < sizeof words / sizeof *words ? error : UMBEL_ERROR_INTERNAL];
}
