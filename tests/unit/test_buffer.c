#include <stdlib.h>
#include <string.h>

#include "service/core/buffer.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_alloc.h"

/* What the header says always holds. */
static void assert_sound(const struct buffer *buffer)
{
	if (!buffer->data) {
		assert_int_equal(buffer->len, 0);
		assert_int_equal(buffer->size, 0);
		return;
	}
	assert_true(buffer->len < buffer->size);
	assert_int_equal(buffer->data[buffer->len], '\0');
	assert_int_equal(buffer_room(buffer), buffer->size - buffer->len - 1);
}

static void assert_holds(const struct buffer *buffer, const char *text)
{
	assert_sound(buffer);
	assert_int_equal(buffer_span(buffer).len, strlen(text));
	assert_string_equal(buffer_text(buffer), text);
}

static void a_zeroed_one_is_empty_and_may_be_used_in_every_way(void **state)
{
	struct buffer buffer = { 0 };
	(void)state;
	assert_holds(&buffer, "");
	assert_int_equal(buffer_room(&buffer), 0);
	assert_non_null(buffer_span(&buffer).data);
	assert_int_equal(buffer_append(&buffer, (struct span){ 0 }), ERR_OK);
	assert_int_equal(buffer_reserve(&buffer, 0), ERR_OK);
	buffer_extend(&buffer, 0);
	buffer_clear(&buffer);
	buffer_drop_front(&buffer, 0);
	assert_null(buffer_detach(&buffer));
	assert_holds(&buffer, "");
	buffer_finish(&buffer);
	buffer_finish(&buffer);
	assert_holds(&buffer, "");
}

static void what_is_appended_byte_by_byte_is_all_there(void **state)
{
	enum { BYTES = 100000 };
	struct buffer buffer = { 0 };
	unsigned growths = 0;
	(void)state;
	for (size_t i = 0; i < BYTES; i++) {
		char byte = (char)i;
		size_t size = buffer.size;
		assert_int_equal(
			buffer_append(&buffer, (struct span){ &byte, 1 }), ERR_OK);
		assert_sound(&buffer);
		growths += buffer.size != size;
	}
	assert_int_equal(buffer.len, BYTES);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(buffer.data[i], (char)i);
	assert_true(growths < 10);
	buffer_finish(&buffer);
}

static void room_once_made_is_used_without_moving(void **state)
{
	struct buffer buffer = { 0 };
	(void)state;
	assert_int_equal(buffer_reserve(&buffer, 5000), ERR_OK);
	assert_holds(&buffer, "");
	assert_int_equal(buffer_room(&buffer), 5000); /* a large one is exact */
	char *data = buffer.data;
	memset(buffer.data, 'x', 5000);
	buffer_extend(&buffer, 5000);
	assert_sound(&buffer);
	assert_ptr_equal(buffer.data, data);
	assert_int_equal(buffer.len, 5000);
	assert_int_equal(buffer_room(&buffer), 0);
	buffer_clear(&buffer);
	assert_holds(&buffer, "");
	assert_int_equal(buffer_room(&buffer), 5000);
	buffer_finish(&buffer);
}

static void printing_fits_itself_in_whatever_the_room(void **state)
{
	(void)state;
	for (size_t before = 500; before < 520; before++) {
		struct buffer buffer = { 0 };
		char expected[600];
		memset(expected, 'x', before);
		strcpy(expected + before, "m8: 25");
		assert_int_equal(
			buffer_append(&buffer, (struct span){ expected, before }),
			ERR_OK);
		assert_int_equal(buffer_print(&buffer, "%s: %d", "m8", 25), ERR_OK);
		assert_holds(&buffer, expected);
		assert_int_equal(buffer_print(&buffer, "%s", ""), ERR_OK);
		assert_holds(&buffer, expected);
		buffer_finish(&buffer);
	}
}

static void the_front_can_be_dropped(void **state)
{
	struct buffer buffer = { 0 };
	(void)state;
	buffer_append(&buffer, SPAN_LITERAL("one,two"));
	buffer_drop_front(&buffer, strlen("one,"));
	assert_holds(&buffer, "two");
	buffer_append(&buffer, SPAN_LITERAL(",three"));
	buffer_drop_front(&buffer, strlen("two,three"));
	assert_holds(&buffer, "");
	buffer_finish(&buffer);
}

static void what_was_detached_is_the_callers(void **state)
{
	struct buffer buffer = { 0 };
	(void)state;
	buffer_append(&buffer, SPAN_LITERAL("bolt"));
	char *text = buffer_detach(&buffer);
	assert_string_equal(text, "bolt");
	assert_holds(&buffer, "");
	buffer_append(&buffer, SPAN_LITERAL("nut"));
	assert_string_equal(text, "bolt");
	free(text);
	buffer_finish(&buffer);
}

static void no_length_overflows(void **state)
{
	struct buffer buffer = { 0 };
	(void)state;
	assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), ERR_NOMEM);
	assert_int_equal(buffer_reserve(&buffer, PTRDIFF_MAX), ERR_NOMEM);
	assert_holds(&buffer, "");
	buffer_append(&buffer, SPAN_LITERAL("bolt"));
	for (size_t less = 0; less < 16; less++)
		assert_int_equal(buffer_reserve(&buffer, SIZE_MAX - less), ERR_NOMEM);
	assert_int_equal(buffer_reserve(&buffer, PTRDIFF_MAX - 4), ERR_NOMEM);
	assert_holds(&buffer, "bolt");
	buffer_finish(&buffer);
}

/* Each of them in turn, until none of a whole life's has to fail. */
static void without_memory_it_stays_as_it_was(void **state)
{
	unsigned refused = 0;
	(void)state;
	if (!fault_alloc_works())
		skip();
	for (int nth = 1, failed = true; failed; nth++) {
		struct buffer buffer = { 0 };
		char expected[20 * 200 + 1] = "";
		assert_true(nth < 20);
		fault_alloc_arm(nth);
		failed = false;
		for (int i = 0; i < 200; i++) {
			enum err err = i % 2
				? buffer_print(&buffer, "%s%d", "some more text ", 10000)
				: buffer_append(
					  &buffer, SPAN_LITERAL("some more text 10000"));
			if (err == ERR_OK)
				strcat(expected, "some more text 10000");
			else
				assert_int_equal(err, ERR_NOMEM);
			failed += err != ERR_OK;
			assert_holds(&buffer, expected);
		}
		refused += (unsigned)failed;
		fault_alloc_arm(0);
		assert_true(failed <= 1);
		buffer_finish(&buffer);
	}
	assert_int_equal(refused, 4); /* 512, 1024, 2048 and 4096 bytes */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zeroed_one_is_empty_and_may_be_used_in_every_way),
		cmocka_unit_test(what_is_appended_byte_by_byte_is_all_there),
		cmocka_unit_test(room_once_made_is_used_without_moving),
		cmocka_unit_test(printing_fits_itself_in_whatever_the_room),
		cmocka_unit_test(the_front_can_be_dropped),
		cmocka_unit_test(what_was_detached_is_the_callers),
		cmocka_unit_test(no_length_overflows),
		cmocka_unit_test(without_memory_it_stays_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
