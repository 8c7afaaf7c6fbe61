/*
 * The janitor: small bites, and an end at once.
 */
#include <stdlib.h>

#include "db/janitor.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/items_db.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

/* Of each kind so many: past their time, and of the last hour. */
enum { OLD = 1050, FRESH = 20 };

struct fixture {
	struct items_db *items;
	sqlite3 *stranger;
	uint64_t commits; /* before the janitor */
};

static struct db_stats stats(struct fixture *fixture)
{
	struct db_stats stats;
	db_stats(fixture->items->db, &stats);
	return stats;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	void *items;
	items_db_setup(&items);
	fixture->items = items;
	fixture->stranger = test_db_stranger(fixture->items->path);
	items_db_exec(items,
		"INSERT INTO kept_answers WITH RECURSIVE n(i) AS"
		" (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1070)"
		" SELECT 'key ' || i, zeroblob(32), 1000 * unixepoch() -"
		" CASE WHEN i <= 20 THEN 3600000 ELSE 86400000 + i END, 201, NULL, NULL, ''"
		" FROM n");
	fixture->commits = stats(fixture).commits;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	void *items = fixture->items;
	sqlite3_close(fixture->stranger);
	items_db_teardown(&items);
	free(fixture);
	return 0;
}

static int64_t kept(struct fixture *fixture)
{
	return stranger_int(fixture->stranger, "SELECT count(*) FROM kept_answers");
}

static void what_is_past_its_time_is_thrown_away_in_small_bites(void **state)
{
	struct fixture *fixture = *state;
	struct janitor *janitor;
	assert_int_equal(kept(fixture), OLD + FRESH);
	assert_int_equal(janitor_create(fixture->items->db, &janitor), ERR_OK);
	WAIT_UNTIL(kept(fixture) == FRESH);
	janitor_destroy(janitor);
	assert_true(stats(fixture).commits - fixture->commits > OLD / 100);
	assert_int_equal(stats(fixture).batch_size_max, 1);
}

/* The stranger, who has the lock, counts as a writer that takes long. */
static void the_end_does_not_wait_for_the_writer(void **state)
{
	struct fixture *fixture = *state;
	struct janitor *janitor;
	stranger_exec(fixture->stranger, "BEGIN IMMEDIATE");
	assert_int_equal(janitor_create(fixture->items->db, &janitor), ERR_OK);
	WAIT_UNTIL(stats(fixture).writes_waiting == 1);
	janitor_destroy(janitor);
	assert_int_equal(stats(fixture).writes_waiting, 0);
	stranger_exec(fixture->stranger, "ROLLBACK");
	assert_int_equal(kept(fixture), OLD + FRESH);
}

static void destroy(void *arg)
{
	janitor_destroy(arg);
}

static void the_end_does_not_wait_for_the_next_round(void **state)
{
	struct fixture *fixture = *state;
	struct janitor *janitor;
	struct actor ending;
	assert_int_equal(janitor_create(fixture->items->db, &janitor), ERR_OK);
	WAIT_UNTIL(kept(fixture) == FRESH);
	actor_start(&ending, destroy, janitor);
	WAIT_UNTIL(actor_has_returned(&ending)); /* a round is a minute */
	actor_join(&ending);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_past_its_time_is_thrown_away_in_small_bites),
		TEST(the_end_does_not_wait_for_the_writer),
		TEST(the_end_does_not_wait_for_the_next_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
