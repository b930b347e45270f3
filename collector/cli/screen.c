/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "collector/base/macros.h"

#define DEFAULT_COLUMNS 80
#define DEFAULT_ROWS    24

/* Alternate screen, no cursor, no wrapping; and back. */
static const char begin[] = "\033[?1049h\033[?25l\033[?7l";
static const char end[] = "\033[?7h\033[?25h\033[?1049l";

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH };

static struct termios saved;
static bool is_open;
static volatile sig_atomic_t must_end;

static void on_signal(int number)
{
	if (number != SIGWINCH)
		must_end = 1;
}

static void put(const char *text, size_t len)
{
	while (len) {
		ssize_t done = write(STDOUT_FILENO, text, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			must_end = 1;
			return;
		}
		text += done;
		len -= (size_t)done;
	}
}

int screen_open(void)
{
	/* Without SA_RESTART: poll shall return. */
	struct sigaction action = { .sa_handler = on_signal };
	struct termios raw;

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
		return -ENOTTY;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &action, NULL);
	raw = saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
		return -errno;
	is_open = true;
	put(begin, sizeof(begin) - 1);
	return 0;
}

void screen_close(void)
{
	if (!is_open)
		return;
	is_open = false;
	put(end, sizeof(end) - 1);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

void screen_size(unsigned *out_columns, unsigned *out_rows)
{
	struct winsize size = { 0 };

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*out_columns = size.ws_col ? size.ws_col : DEFAULT_COLUMNS;
	*out_rows = size.ws_row ? size.ws_row : DEFAULT_ROWS;
}

/* Each line clears what stood behind it: nothing flickers. */
void screen_draw(struct str picture)
{
	unsigned columns, rows;

	screen_size(&columns, &rows);
	put("\033[H", 3);
	for (unsigned i = 0; i < rows && picture.len; i++) {
		const char *newline = memchr(picture.data, '\n', picture.len);
		size_t len = newline ? (size_t)(newline - picture.data) : picture.len;

		put(i ? "\r\n" : "", i ? 2 : 0);
		put(picture.data, len);
		put("\033[K", 3);
		len += newline != NULL;
		picture.data += len;
		picture.len -= len;
	}
	put("\033[J", 3);
}

int screen_key(int timeout_ms)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	unsigned char key;
	int ready;

	if (must_end)
		return SCREEN_END;
	ready = poll(&input, 1, timeout_ms);
	if (must_end)
		return SCREEN_END;
	if (ready <= 0)
		return SCREEN_TIME;
	return read(STDIN_FILENO, &key, 1) == 1 ? key : SCREEN_END;
}
