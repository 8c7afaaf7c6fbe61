# Writes service/run/version.h: cmake -D NAME= -D VERSION= -D COMMIT= -D SOURCE_DIR= -D OUTPUT= -P.
# Without COMMIT it asks git; where git has no answer (an archive, no git) the commit is "".
# An unchanged header is left untouched.
cmake_minimum_required(VERSION 3.25)

if(COMMIT STREQUAL "")
	execute_process(
		COMMAND git describe --always --dirty --abbrev=12 --exclude=*
		WORKING_DIRECTORY ${SOURCE_DIR}
		OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE
		ERROR_QUIET RESULT_VARIABLE result)
	if(NOT result EQUAL 0)
		set(COMMIT "")
	endif()
endif()

file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
"/* Generated. */
#pragma once

#define HANGUP_NAME \"@NAME@\"
#define HANGUP_VERSION \"@VERSION@\"
#define HANGUP_COMMIT \"@COMMIT@\" /* empty when unknown */
")
