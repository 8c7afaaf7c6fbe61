#include "db/sqlite/transaction.h"

#include "db/stmt.h"

enum err transaction_begin(struct conn *conn, const char *sql)
{
	conn->failed = ERR_OK;
	enum err err = stmt_exec(conn, sql);
	conn->in_transaction = err == ERR_OK;
	return err;
}

enum err transaction_commit(struct conn *conn)
{
	conn_unbind(conn);
	if (!conn->in_transaction) /* its ROLLBACK may have failed: keep nothing of it */
		return conn_loss(conn);
	enum err err = stmt_exec(conn, "COMMIT");
	if (err == ERR_OK)
		conn->in_transaction = false;
	return err;
}

void transaction_rollback(struct conn *conn)
{
	conn_unbind(conn);
	conn->in_transaction = false;
	if (conn_transaction_is_open(conn))
		stmt_exec(conn, "ROLLBACK");
}
