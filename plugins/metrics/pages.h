/* metrics/pages.h - everybody's stats pages as metrics. */
#ifndef METRICS_PAGES_H
#define METRICS_PAGES_H

#include <stdbool.h>

#include <umbel/host.h>

/* pages_write - appends the whole text to out.  0; -errno: the pages cannot be read, or there is no memory for the text. */
int pages_write(const struct umbel_host *host, bool open_metrics, struct umbel_out *out);

#endif
