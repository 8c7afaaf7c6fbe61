# tests/unit/test_NAME.c is the test unit/NAME, tests/http/test_NAME.c is http/NAME,
# tests/fuzz/fuzz_NAME.c is fuzz/NAME. A test named test_*_alone.c runs with no other beside it.
#
# A test program finds in its environment HANGUP_BINARY (the service) and PROJECT_SOURCE_DIR, and
# as a macro HANGUP_SLOWDOWN: 1, or how much slower this build may be (sanitizers).

pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
if(NOT curl_FOUND)
	message(FATAL_ERROR "The tests need libcurl (or turn them off: -D HANGUP_TESTS=OFF)")
endif()

math(EXPR timeout "300 * ${slowdown}")
set(environment
	HANGUP_BINARY=${PROJECT_BINARY_DIR}/${PROJECT_NAME}
	PROJECT_SOURCE_DIR=${PROJECT_SOURCE_DIR}
	ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
	UBSAN_OPTIONS=print_stacktrace=1
	TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1)
# Where a library is to blame, with the reason in the file.
if(EXISTS ${PROJECT_SOURCE_DIR}/tests/tsan.supp)
	string(APPEND environment :suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp)
endif()
if(EXISTS ${PROJECT_SOURCE_DIR}/tests/lsan.supp)
	list(APPEND environment LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp)
endif()

file(GLOB support_sources CONFIGURE_DEPENDS tests/support/*.c)
if(NOT support_sources)
	set(support_sources ${generated}/empty.c)
	file(CONFIGURE OUTPUT ${support_sources} CONTENT "typedef int no_sources_yet;\n")
endif()
add_library(${PROJECT_NAME}_test_support STATIC ${support_sources})
target_link_libraries(${PROJECT_NAME}_test_support PUBLIC ${PROJECT_NAME}_handlers
	PkgConfig::cmocka PkgConfig::curl PkgConfig::sqlite3 PkgConfig::microhttpd m)
target_compile_definitions(${PROJECT_NAME}_test_support PUBLIC HANGUP_SLOWDOWN=${slowdown})

function(describe_test test label)
	set_tests_properties(${test} PROPERTIES
		LABELS ${label} TIMEOUT ${timeout} ENVIRONMENT "${environment}")
	if(test MATCHES "_alone$")
		set_tests_properties(${test} PROPERTIES RUN_SERIAL ON)
	endif()
endfunction()

foreach(kind IN ITEMS unit http)
	file(GLOB sources CONFIGURE_DEPENDS tests/${kind}/test_*.c)
	foreach(source IN LISTS sources)
		cmake_path(GET source STEM stem)
		string(REGEX REPLACE "^test_" "" name ${stem})
		set(target ${kind}_${name})
		add_executable(${target} ${source})
		target_link_libraries(${target} PRIVATE ${PROJECT_NAME}_test_support)
		set_target_properties(${target} PROPERTIES
			OUTPUT_NAME ${stem}
			RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${kind})
		if(TARGET ${PROJECT_NAME})
			add_dependencies(${target} ${PROJECT_NAME})
		endif()
		add_test(NAME ${kind}/${name} COMMAND ${target}
			WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
		describe_test(${kind}/${name} ${kind})
	endforeach()
endforeach()

add_test(NAME project/layers COMMAND ${PROJECT_SOURCE_DIR}/script/check-layers
	${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
add_test(NAME project/layers-self-test
	COMMAND ${PROJECT_SOURCE_DIR}/script/check-layers --self-test)
# That the documents are true of the tree.
foreach(name IN ITEMS map paths)
	add_test(NAME project/${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/project/${name})
	add_test(NAME project/${name}-self-test
		COMMAND ${PROJECT_SOURCE_DIR}/tests/project/${name} --self-test)
	describe_test(project/${name} project)
	describe_test(project/${name}-self-test project)
endforeach()
add_test(NAME project/examples
	COMMAND ${CMAKE_COMMAND} -E env CC=${CMAKE_C_COMPILER} GENERATED=${generated}
		${PROJECT_SOURCE_DIR}/tests/project/examples ${PROJECT_BINARY_DIR}/tests/examples)
describe_test(project/examples project)

add_test(NAME project/embed COMMAND ${CMAKE_COMMAND}
	-D WORK_DIR=${PROJECT_BINARY_DIR}/tests/embed -D CC=${CMAKE_C_COMPILER}
	-P ${PROJECT_SOURCE_DIR}/cmake/embed_test.cmake)
foreach(name IN ITEMS layers layers-self-test embed)
	describe_test(project/${name} project)
endforeach()

# Goes with the example, whose commands it tries.
if(EXISTS ${PROJECT_SOURCE_DIR}/tests/project/tour AND TARGET ${PROJECT_NAME})
	add_test(NAME project/tour COMMAND ${PROJECT_SOURCE_DIR}/tests/project/tour
		${PROJECT_BINARY_DIR}/tests/tour)
	describe_test(project/tour project)
	set_tests_properties(project/tour PROPERTIES SKIP_RETURN_CODE 77)
endif()

# Builds the project twice, so only where that is not slow, and with no other test beside it.
if(NOT HANGUP_SANITIZE)
	add_test(NAME project/fork_alone COMMAND ${PROJECT_SOURCE_DIR}/tests/project/fork
		${PROJECT_BINARY_DIR}/tests/fork)
	describe_test(project/fork_alone project)
	set_tests_properties(project/fork_alone PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77)
endif()

# Each fuzzer runs for a few seconds as a test; script/fuzz runs one for longer.
if(HANGUP_FUZZ)
	file(GLOB sources CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
	add_custom_target(fuzzers)
	foreach(source IN LISTS sources)
		cmake_path(GET source STEM target)
		string(REGEX REPLACE "^fuzz_" "" name ${target})
		add_executable(${target} ${source})
		add_dependencies(fuzzers ${target})
		target_link_libraries(${target} PRIVATE ${PROJECT_NAME}_test_support)
		target_link_options(${target} PRIVATE -fsanitize=fuzzer)
		set_target_properties(${target} PROPERTIES
			RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/fuzz)
		set(corpus ${PROJECT_BINARY_DIR}/tests/fuzz/corpus/${name})
		file(MAKE_DIRECTORY ${corpus})
		set(seeds ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
		if(NOT EXISTS ${seeds})
			set(seeds "")
		endif()
		add_test(NAME fuzz/${name}
			COMMAND ${target} -max_total_time=10 -timeout=10 ${corpus} ${seeds}
			WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
		describe_test(fuzz/${name} fuzz)
	endforeach()
endif()
