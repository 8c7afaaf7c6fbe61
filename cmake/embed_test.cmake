# Test of embed.cmake: cmake -D WORK_DIR= -D CC= -P. What is embedded comes out of a compiled
# program byte for byte; wrong names are refused.
cmake_minimum_required(VERSION 3.25)

set(embed ${CMAKE_CURRENT_LIST_DIR}/embed.cmake)
set(folder ${WORK_DIR}/migrations)

function(run_migrations expect_failure_about)
	execute_process(
		COMMAND ${CMAKE_COMMAND} -D WHAT=migrations -D FOLDER=${folder}
			-D OUTPUT=${WORK_DIR}/migrations.c -P ${embed}
		RESULT_VARIABLE result ERROR_VARIABLE error)
	string(REGEX REPLACE "[ \n]+" " " error "${error}") # CMake breaks its lines
	if(expect_failure_about STREQUAL "" AND NOT result EQUAL 0)
		message(FATAL_ERROR "refused: ${error}")
	elseif(NOT expect_failure_about STREQUAL "" AND NOT error MATCHES "${expect_failure_about}")
		message(FATAL_ERROR "not refused for '${expect_failure_about}': ${result} ${error}")
	endif()
endfunction()

function(reset_folder)
	file(REMOVE_RECURSE ${WORK_DIR})
	file(MAKE_DIRECTORY ${folder})
endfunction()

# Natural order, numbers that would be octal, every awkward character, more than 4095 bytes.
reset_folder()
string(REPEAT "-- long enough ä \"quoted\" \\ back ??= ;[$]{x} \t %s\n" 200 long)
file(WRITE ${folder}/0010_ten.sql "${long}")
set(expected "")
foreach(number RANGE 1 9)
	file(WRITE ${folder}/000${number}_small.sql "SELECT ${number};\n")
	string(APPEND expected "${number} small 10\n")
endforeach()
file(WRITE ${folder}/11_short.sql "")
run_migrations("")

file(WRITE ${WORK_DIR}/db/migrate.h
	"struct migration { int version; const char *name; const char *sql; };\n"
	"extern const struct migration migrations[];\nextern const size_t migrations_count;\n")
execute_process(
	COMMAND ${CMAKE_COMMAND} -D WHAT=text -D FILE=${folder}/0010_ten.sql -D NAME=ten
		-D DIR=${WORK_DIR} -P ${embed}
	COMMAND_ERROR_IS_FATAL ANY)
file(WRITE ${WORK_DIR}/main.c "
#include <stdio.h>
#include <string.h>
#include \"ten.h\"
#include \"db/migrate.h\"
int main(void)
{
	for (size_t i = 0; i < migrations_count; i++)
		fprintf(stderr, \"%d %s %zu\\n\", migrations[i].version, migrations[i].name,
			strlen(migrations[i].sql));
	fwrite(ten, 1, ten_len, stdout);
	return strcmp(ten, migrations[9].sql) != 0;
}
")
execute_process(
	COMMAND ${CC} -std=c17 -Wall -Wextra -Wpedantic -Werror -I${WORK_DIR} -o ${WORK_DIR}/main
		${WORK_DIR}/main.c ${WORK_DIR}/ten.c ${WORK_DIR}/migrations.c
	COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${WORK_DIR}/main
	OUTPUT_FILE ${WORK_DIR}/out ERROR_VARIABLE listed COMMAND_ERROR_IS_FATAL ANY)
file(SIZE ${folder}/0010_ten.sql size)
if(NOT listed STREQUAL "${expected}10 ten ${size}\n11 short 0\n")
	message(FATAL_ERROR "wrong migrations:\n${listed}")
endif()
execute_process(
	COMMAND ${CMAKE_COMMAND} -E compare_files ${folder}/0010_ten.sql ${WORK_DIR}/out
	COMMAND_ERROR_IS_FATAL ANY)

file(WRITE ${folder}/010_again.sql "")
run_migrations("must be number 11")
file(REMOVE ${folder}/010_again.sql ${folder}/0003_small.sql)
run_migrations("must be number 3")
foreach(name IN ITEMS 0000_zero.sql items.sql 0011-dash.sql 0011.sql 0011_a.b.sql 2147483648_big.sql)
	reset_folder()
	file(WRITE ${folder}/${name} "")
	run_migrations("a migration is named")
endforeach()
reset_folder()
run_migrations("no migrations")

function(run_json text expected_result)
	file(WRITE ${WORK_DIR}/a.json "${text}")
	execute_process(
		COMMAND ${CMAKE_COMMAND} -D WHAT=text -D FILE=${WORK_DIR}/a.json -D NAME=a_json
			-D DIR=${WORK_DIR} -P ${embed}
		RESULT_VARIABLE result ERROR_VARIABLE error)
	if(NOT result EQUAL expected_result)
		message(FATAL_ERROR "embedding ${text}: ${result} ${error}")
	endif()
endfunction()
run_json("{\"a\": [\"x;y\", {}]}\n" 0)
run_json("{\"a\": [1, ]\n" 1)
