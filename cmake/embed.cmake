# Puts files into the program as C, with nothing but CMake.
#
# embed_text(TARGET FILE DIR): adds FILE to TARGET as DIR/NAME.c and DIR/NAME.h, where NAME is the
# file's name with every character that C does not allow made '_' (openapi.json: openapi_json). A
# .json file that is not JSON does not build:
#     extern const char NAME[];      a NUL follows the last byte
#     extern const size_t NAME_len;  without that NUL
#
# embed_migrations(TARGET FOLDER OUTPUT): adds to TARGET a file OUTPUT that defines what
# db/migrate.h declares, ordered by version:
#     const struct migration migrations[]; { version, name, sql } for each FOLDER/NNNN_name.sql
#     const size_t migrations_count;
#
# Run as a script (cmake -D WHAT=text|migrations ... -P) this file is also the generator.

cmake_minimum_required(VERSION 3.25)

# Bytes are written as character constants: no limit on the length, no trouble with signs, quotes
# or trigraphs.
function(c_bytes file ret_bytes)
	file(READ ${file} hex HEX)
	string(REGEX REPLACE "................................" "\\0\n\t" hex "${hex}")
	string(REGEX REPLACE "[0-9a-f][0-9a-f]" "'\\\\x\\0'," bytes "${hex}")
	set(${ret_bytes} "\t${bytes}'\\0',\n" PARENT_SCOPE)
endfunction()

function(generate_text file name dir)
	if(file MATCHES "\\.json$")
		file(READ ${file} text)
		string(JSON type ERROR_VARIABLE error TYPE "${text}")
		if(error)
			message(FATAL_ERROR "${file}: ${error}")
		endif()
	endif()
	c_bytes(${file} bytes)
	file(WRITE ${dir}/${name}.h
"/* Generated. */
#pragma once

#include <stddef.h>

extern const char ${name}[]; /* NUL-terminated */
extern const size_t ${name}_len;
")
	file(WRITE ${dir}/${name}.c
"/* Generated. */
#include \"${name}.h\"

const char ${name}[] = {
${bytes}};
const size_t ${name}_len = sizeof ${name} - 1;
")
endfunction()

function(generate_migrations folder output)
	file(GLOB files ${folder}/*.sql)
	list(SORT files COMPARE NATURAL)
	set(arrays "")
	set(rows "")
	set(last 0)
	foreach(file IN LISTS files)
		cmake_path(GET file STEM LAST_ONLY name)
		if(NOT name MATCHES "^0*([1-9][0-9]*)_[a-z0-9_]+$" OR CMAKE_MATCH_1 GREATER 2147483647)
			message(FATAL_ERROR "${file}: a migration is named NNNN_what_it_does.sql, from 0001")
		endif()
		set(version ${CMAKE_MATCH_1}) # without leading zeros, which C would read as octal
		# The program finds them by their place (db/migrate.h).
		math(EXPR last "${last} + 1")
		if(NOT version EQUAL last)
			message(FATAL_ERROR "${file}: it must be number ${last}, there may be no gaps")
		endif()
		c_bytes(${file} bytes)
		string(APPEND arrays "static const char sql_${version}[] = {\n${bytes}};\n\n")
		string(REGEX REPLACE "^[0-9]+_" "" name ${name})
		string(APPEND rows "\t{ ${version}, \"${name}\", sql_${version} },\n")
	endforeach()
	if(NOT files)
		message(FATAL_ERROR "${folder}: no migrations")
	endif()
	file(WRITE ${output}
"/* Generated. */
#include <stddef.h>

#include \"db/migrate.h\"

${arrays}const struct migration migrations[] = {
${rows}};
const size_t migrations_count = sizeof migrations / sizeof *migrations;
")
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
	if(WHAT STREQUAL "text")
		generate_text(${FILE} ${NAME} ${DIR})
	elseif(WHAT STREQUAL "migrations")
		generate_migrations(${FOLDER} ${OUTPUT})
	endif()
	return()
endif()

set(embed_script ${CMAKE_CURRENT_LIST_FILE})

function(embed_text target file dir)
	cmake_path(ABSOLUTE_PATH file)
	cmake_path(GET file FILENAME name)
	string(MAKE_C_IDENTIFIER ${name} name)
	add_custom_command(OUTPUT ${dir}/${name}.c ${dir}/${name}.h
		COMMAND ${CMAKE_COMMAND} -D WHAT=text -D FILE=${file} -D NAME=${name} -D DIR=${dir}
			-P ${embed_script}
		DEPENDS ${file} ${embed_script}
		COMMENT "Embedding ${name}" VERBATIM)
	target_sources(${target} PRIVATE ${dir}/${name}.c ${dir}/${name}.h)
endfunction()

function(embed_migrations target folder output)
	cmake_path(ABSOLUTE_PATH folder)
	file(GLOB files CONFIGURE_DEPENDS ${folder}/*.sql)
	# The list itself is a dependency: a migration taken away leaves nothing newer behind.
	cmake_path(REPLACE_EXTENSION output .list OUTPUT_VARIABLE list)
	file(CONFIGURE OUTPUT ${list} CONTENT "${files}\n")
	add_custom_command(OUTPUT ${output}
		COMMAND ${CMAKE_COMMAND} -D WHAT=migrations -D FOLDER=${folder} -D OUTPUT=${output}
			-P ${embed_script}
		DEPENDS ${files} ${list} ${embed_script}
		COMMENT "Embedding migrations" VERBATIM)
	target_sources(${target} PRIVATE ${output})
endfunction()
