/* umbelctl/top_screen.h - what `top` draws.  The only file that knows ncurses is top_screen.c. */
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include "tools/umbelctl/sample.h"
#include "tools/umbelctl/top_data.h"

struct top_state { /* what is to be seen */
    enum top_view view;
    enum top_sort sort;
    bool backwards, paused, help, typing; /* typing: the filter */
    bool details;
    bool gone;             /* there is no daemon any more: what is shown is the last that was seen */
    char filter[64];
    char question[160];    /* "" or what waits for y */
    char message[256];     /* "" or what came of it */
    size_t chosen, first;  /* rows: the one at the cursor, the first one on the screen */
    struct pages *pages;   /* for its texts; NULL before the first look */
    const struct top_data *data;
    const struct sample_rates *rates;
};

enum top_key { TOP_KEY_NONE, TOP_KEY_UP = 0x110000, TOP_KEY_DOWN, TOP_KEY_PAGE_UP, TOP_KEY_PAGE_DOWN, TOP_KEY_HOME, TOP_KEY_END,
               TOP_KEY_ENTER, TOP_KEY_ESCAPE, TOP_KEY_BACKSPACE, TOP_KEY_RESIZE };

/* top_screen_open - takes over the terminal.  False: there is none that can be used. */
bool top_screen_open(bool colour);
void top_screen_close(void); /* gives it back as it was */
/* top_screen_key - waits so long for a key: its byte, enum top_key, or TOP_KEY_NONE (also after a signal). */
int top_screen_key(int wait_ms);
/* top_screen_draw - everything; sets state->first so that the chosen row is seen. */
void top_screen_draw(struct top_state *state);
size_t top_screen_page(void); /* rows that fit */

/* top_head - the sums in words, joined to lines of at most width columns: each line begins with '\n' but for the first.  For the screen and
 * for --once. */
void top_head(const struct pages *pages, const struct sample_rates *rates, bool gone, size_t width, struct umbel_out *out);

#endif
