/* A service manager for systemd.test.mjs: manager WATCHDOG_USEC PORT,PORT PROGRAM ARGUMENT...
 * Listens on the ports, gives them to the program from descriptor 3 on, and prints what it says to NOTIFY_SOCKET, a line each. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int fds[16], fd_count;

static void listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == -1 || listen(fd, 128) == -1) {
        perror("manager: listen");
        exit(1);
    }
    fds[fd_count++] = fd;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64], text[32], chunk[4096];
    int status = 0;

    if (argc < 4)
        return 2;
    for (char *rest = argv[2], *port; (port = strsep(&rest, ",")) && fd_count < 16;)
        if (*port)
            listen_on(atoi(port));
    int notify = socket(AF_UNIX, SOCK_DGRAM, 0);
    int size = snprintf(name, sizeof name, "@umbel-test-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, (size_t)size - 1);
    if (bind(notify, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size)) == -1)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        int moved[16];
        for (int i = 0; i < fd_count; i++)
            moved[i] = dup2(fds[i], 200 + i);
        for (int i = 0; i < fd_count; i++)
            dup2(moved[i], 3 + i);
        for (int fd = 3 + fd_count; fd < 256; fd++)
            close(fd);
        setenv("NOTIFY_SOCKET", name, 1);
        snprintf(text, sizeof text, "%d", (int)getpid());
        setenv("LISTEN_PID", text, 1);
        setenv("WATCHDOG_PID", text, 1);
        snprintf(text, sizeof text, "%d", fd_count);
        setenv("LISTEN_FDS", text, 1);
        if (strcmp(argv[1], "0") != 0)
            setenv("WATCHDOG_USEC", argv[1], 1);
        execv(argv[3], argv + 3);
        _exit(127);
    }
    printf("PID %d\n", (int)pid);
    fflush(stdout);
    for (;;) {
        struct pollfd readable = {.fd = notify, .events = POLLIN};
        if (poll(&readable, 1, 20) > 0) {
            ssize_t n = recv(notify, chunk, sizeof chunk - 1, 0);
            if (n > 0 && write(STDOUT_FILENO, chunk, (size_t)n) < 0)
                break;
        } else if (pid && waitpid(pid, &status, WNOHANG) == pid) {
            if (!WIFEXITED(status)) /* killed: the sockets are kept, as a manager does, until somebody ends us */
                pid = 0;
            else
                return WEXITSTATUS(status);
        }
    }
    return 1;
}
