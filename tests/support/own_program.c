#include "tests/support/own_program.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/support/cmocka.h"

static FILE *start(const char *argument)
{
	char path[PATH_MAX];
	char command[PATH_MAX + 64];
	ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
	assert_true(len > 0);
	path[len] = '\0';
	snprintf(command, sizeof command, "exec '%s' %s 2>&1", path, argument);
	FILE *output = popen(command, "re");
	assert_non_null(output);
	return output;
}

char *own_program_run(const char *argument, int *ret_status)
{
	char *text = NULL;
	size_t size = 0;
	FILE *output = start(argument);
	/* Up to a byte that does not come: all of it. */
	ssize_t len = getdelim(&text, &size, '\0', output);
	*ret_status = pclose(output);
	if (len <= 0)
		fail_msg("\"%s\" printed nothing, status %d", argument, *ret_status);
	return text;
}
