/* show/show_screen.h - the answers side by side, redrawn in place on a terminal; and the table at the end. */
#ifndef SHOW_SCREEN_H
#define SHOW_SCREEN_H

#include "tools/show/show_client.h"

#define SHOW_COLUMN_MIN 14u /* narrower columns are not worth drawing: then the output is plain */

struct show_screen {
    int fd;
    bool live, colours; /* live: columns are redrawn in place */
    unsigned columns, rows; /* of the terminal */
    unsigned drawn;         /* lines that the last drawing left above the cursor */
    struct umbel_out out;
};

/* show_screen_open - looks at the descriptor: a terminal that is wide enough for count columns is drawn on live; NO_COLOR is obeyed. */
void show_screen_open(struct show_screen *screen, int fd, size_t count);
/* show_screen_resize - the terminal has another size now; the next drawing begins on a clear screen. */
void show_screen_resize(struct show_screen *screen, size_t count);
/* show_screen_draw - nothing unless live. */
void show_screen_draw(struct show_screen *screen, const struct show_client *clients, size_t count);
/* show_screen_plain - one answer after the other; nothing if live. */
void show_screen_plain(struct show_screen *screen, const struct show_client *clients, size_t count);
/* show_screen_table - the table of what each protocol got.  Returns how many got the whole answer, with the text of clients[0]. */
size_t show_screen_table(struct show_screen *screen, const struct show_client *clients, size_t count);
/* show_screen_close - leaves the terminal as it was. */
void show_screen_close(struct show_screen *screen);

#endif
