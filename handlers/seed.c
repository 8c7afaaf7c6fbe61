#include "handlers/seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "db/db_current.h"
#include "db/items_transfer.h"
#include "handlers/settings.h"
#include "service/core/log.h"
#include "service/core/parse.h"
#include "service/core/scatter.h"
#include "service/run/version.h"

enum {
	NEIGHBOURS = 100,
	TRANSACTION_MAX = 250000, /* items */
	TRANSACTION_MAX_MS = 600000,
	FIRST_CREATED_S = 1577836800, /* 2020-01-01, and an item a second from then on */
};

static const char *const materials[] = {
	"Aluminium",
	"Brass",
	"Bronze",
	"Copper",
	"Nylon",
	"Galvanised",
	"Stainless",
	"Steel",
	"Titanium",
	"Zinc",
};

static const char *const kinds[] = {
	"bolt",
	"nut",
	"washer",
	"screw",
	"rivet",
	"nail",
	"hinge",
	"bracket",
	"anchor",
	"hook",
	"pin",
	"clip",
	"clamp",
	"spring",
	"bushing",
	"bearing",
	"chain",
	"cable",
	"pipe",
	"valve",
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
_Static_assert(COUNT_OF(materials) * COUNT_OF(kinds) == SEED_CATEGORIES, "as promised");

struct texts {
	char name[64];
	char category[32];
};

/* Neighbours share a category, and a category has its price range, so that a million
 * inserts touch the indexes in a few places at a time instead of everywhere. */
static void make_item(int64_t id, struct texts *texts, struct item *ret_item)
{
	uint64_t random = scatter((uint64_t)id);
	uint64_t category = (uint64_t)id / NEIGHBOURS % SEED_CATEGORIES;
	uint64_t cheapest = scatter(category) % 50000 + 1;
	const char *material = materials[category / COUNT_OF(kinds)];
	const char *kind = kinds[category % COUNT_OF(kinds)];
	snprintf(texts->name, sizeof texts->name, "%s %s M%u no. %" PRId64, material,
		kind, (unsigned)(random % 24) + 1, id);
	snprintf(texts->category, sizeof texts->category, "%s %ss", material, kind);
	*ret_item = (struct item){
		.name = span_of(texts->name),
		.category = span_of(texts->category),
		.quantity = (int64_t)(random / 24 % 1000),
		.price_cents = (int64_t)(cheapest + random / 24000 % 2000),
	};
}

static enum err insert_item(struct conn *conn, int64_t id)
{
	struct texts texts;
	struct item item;
	make_item(id, &texts, &item);
	return items_add(conn, &item, (FIRST_CREATED_S + id) * 1000);
}

static enum err insert_items(struct conn *conn, void *arg)
{
	const int64_t *count = arg;
	int64_t last;
	enum err err = items_expect_many(conn);
	if (err == ERR_OK)
		err = items_last_id(conn, &last);
	for (int64_t i = 1; err == ERR_OK && i <= *count; i++)
		err = insert_item(conn, last + i);
	return err;
}

static enum err insert_all(
	struct db *db, struct cancel *never, int64_t count, int64_t *ret_added)
{
	int64_t added = 0;
	enum err err = ERR_OK;
	while (err == ERR_OK && added < count) {
		int64_t some = count - added < TRANSACTION_MAX ? count - added
							       : TRANSACTION_MAX;
		err = db_write_long(db, never, TRANSACTION_MAX_MS, insert_items, &some);
		if (err == ERR_OK)
			added += some;
	}
	*ret_added = added;
	return err;
}

enum err seed_items(struct db *db, int64_t count, int64_t *ret_added)
{
	struct cancel *never = cancel_create(NULL);
	*ret_added = 0;
	enum err err = never ? insert_all(db, never, count, ret_added) : ERR_NOMEM;
	cancel_unref(never);
	return err;
}

static int seed(const struct config *config, int64_t count)
{
	struct db_config its_config = config_db(config);
	struct db *db;
	int64_t added;
	if (db_open_current(&its_config, &db) != ERR_OK)
		return EXIT_FAILURE;
	instant begun = instant_now();
	enum err err = seed_items(db, count, &added);
	db_close(db);
	printf("Added %" PRId64 " items to %s in %.1f s\n", added,
		db_settings_path(&config->db),
		(double)instant_diff_ns(begun, instant_now()) / 1e9);
	if (err == ERR_OK)
		return 0;
	log_error("cannot add more items", LOG_ERR(err));
	return EXIT_FAILURE;
}

int command_seed(const struct config *config, int argc, char **argv)
{
	enum { SEED_MAX = 100000000, EXIT_USAGE = 2 };
	int64_t count;
	(void)argc;
	if (parse_positive(span_of(argv[0]), SEED_MAX, &count))
		return seed(config, count);
	fprintf(stderr, "%s: seed \"%s\": N must be an integer from 1 to %d\n",
		HANGUP_NAME, argv[0], SEED_MAX);
	return EXIT_USAGE;
}
