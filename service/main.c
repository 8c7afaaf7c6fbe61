#include "service/main.h"

int main(int argc, char **argv)
{
	const struct program program = { program_name, commands, commands_count,
		program_print_versions };
	return program_main(&program, argc, argv, stdout, stderr);
}
