/* daemon/daemon_selftest.h - umbelctl selftest: an app that nobody but its caller can enter, over every transport.
 *
 * For as long as the command's connection lasts there is an app "(selftest)", a name that no configuration can have, with a key made for
 * the occasion and one upstream: the caller's own little service on 127.0.0.1, or with --live those of a real app.  The caller is a client
 * like others; everything it meets is the real way.  It ends with the connection, after SELFTEST_S, or with a reload.
 * Owner: the core's loop thread. */
#ifndef DAEMON_SELFTEST_H
#define DAEMON_SELFTEST_H

struct daemon;
struct daemon_selftest;

#define SELFTEST_S 600u

int daemon_selftest_create(struct daemon *daemon); /* 0 or -ENOMEM */
void daemon_selftest_admin(struct daemon *daemon); /* selftest */
void daemon_selftest_free(struct daemon *daemon);  /* after the apps and the admin socket */

#endif
