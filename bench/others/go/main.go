// The inventory service as it is written in Go with what comes to hand: net/http, database/sql,
// mattn/go-sqlite3, encoding/json. bench/compare measures it beside hangup; it serves a database
// that hangup has made. Every query gets the request's context, so it is cancelled when net/http
// sees that the client has left.
//
// Usage: go_service PORT DATABASE
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-sqlite3"
)

const (
	nameMax     = 200
	categoryMax = 64
	quantityMax = 1<<31 - 1
	priceMax    = 1<<53 - 1
	bodyMax     = 1 << 20
	limitMax    = 1000
	readersMax  = 16

	timeLayout = "2006-01-02T15:04:05.000Z"
	columns    = "id, name, category, quantity, price_cents, created_at, updated_at, version"
)

// The middle one of an odd number of prices is at both places, that of an even number are two.
const inventory = `
	WITH ranked AS (
		SELECT category, price_cents, quantity,
			row_number() OVER (PARTITION BY category ORDER BY price_cents) AS place,
			count(*) OVER (PARTITION BY category) AS among
		FROM items)
	SELECT category, count(*), sum(quantity), sum(quantity * price_cents),
		avg(CASE WHEN place IN ((among + 1) / 2, among / 2 + 1) THEN price_cents END)
	FROM ranked GROUP BY category ORDER BY category`

type newItem struct {
	Name       string `json:"name"`
	Category   string `json:"category"`
	Quantity   int64  `json:"quantity"`
	PriceCents int64  `json:"price_cents"`
}

type item struct {
	ID int64 `json:"id"`
	newItem
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
	Version   int64  `json:"version"`
}

type group struct {
	Category        string  `json:"category"`
	Count           int64   `json:"count"`
	TotalQuantity   int64   `json:"total_quantity"`
	TotalValueCents int64   `json:"total_value_cents"`
	MedianCents     float64 `json:"median_price_cents"`
}

func isText(s string, max int) bool {
	return s != "" && utf8.RuneCountInString(s) <= max && strings.IndexFunc(s, unicode.IsControl) < 0
}

func (n *newItem) check() error {
	switch {
	case !isText(n.Name, nameMax):
		return fmt.Errorf("name must be 1 to %d characters", nameMax)
	case !isText(n.Category, categoryMax):
		return fmt.Errorf("category must be 1 to %d characters", categoryMax)
	case n.Quantity < 0 || n.Quantity > quantityMax:
		return fmt.Errorf("quantity must be 0 to %d", quantityMax)
	case n.PriceCents < 0 || n.PriceCents > priceMax:
		return fmt.Errorf("price_cents must be 0 to %d", priceMax)
	}
	return nil
}

func formatTime(ms int64) string {
	return time.UnixMilli(ms).UTC().Format(timeLayout)
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface {
	Scan(...any) error
}

func (i *item) scan(row scanner) error {
	var created, updated int64
	err := row.Scan(&i.ID, &i.Name, &i.Category, &i.Quantity, &i.PriceCents, &created, &updated,
		&i.Version)
	i.CreatedAt, i.UpdatedAt = formatTime(created), formatTime(updated)
	return err
}

// service has many connections that read and a single one that writes, as SQLite's WAL wants it.
type service struct {
	readers, writer                *sql.DB
	get, list, all, report, insert *sql.Stmt
}

// open uses the settings that hangup's connections have.
func open(file string, connections int, more string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3_mapped", "file:"+file+"?mode=rw&_journal_mode=WAL&_mutex=no"+
		"&_synchronous=FULL&_foreign_keys=on&_busy_timeout=5000"+more)
	if err == nil {
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
	}
	return db, err
}

func newService(file string) (*service, error) {
	sql.Register("sqlite3_mapped", &sqlite3.SQLiteDriver{
		ConnectHook: func(conn *sqlite3.SQLiteConn) error {
			_, err := conn.Exec("PRAGMA mmap_size = 1073741824", nil)
			return err
		}})
	s := &service{}
	var err error
	if s.readers, err = open(file, readersMax, "&_cache_size=-2000&_query_only=on"); err != nil {
		return nil, err
	}
	// An import changes pages of every index over and over; a cache that has room for them all
	// writes each of them once.
	if s.writer, err = open(file, 1, "&_cache_size=-262144&_txlock=immediate"); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		stmt **sql.Stmt
		db   *sql.DB
		sql  string
	}{
		{&s.get, s.readers, "SELECT " + columns + " FROM items WHERE id = ?"},
		{&s.list, s.readers, "SELECT " + columns + " FROM items ORDER BY id LIMIT ?"},
		{&s.all, s.readers, "SELECT " + columns + " FROM items ORDER BY id"},
		{&s.report, s.readers, inventory},
		{&s.insert, s.writer, "INSERT INTO items (name, category, quantity, price_cents," +
			" created_at, updated_at, version) VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)"},
	} {
		if *p.stmt, err = p.db.Prepare(p.sql); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := encoder(w).Encode(body); err != nil {
		log.Print(err)
	}
}

func refuse(w http.ResponseWriter, status int, detail string) {
	answer(w, status, map[string]string{"error": detail})
}

// fail answers what is not the client's fault, and is silent to a client that has left.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	log.Print(err)
	refuse(w, http.StatusInternalServerError, "internal error")
}

func (s *service) health(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *service) getItem(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/v1/items/"), 10, 64)
	if err != nil {
		refuse(w, http.StatusNotFound, "no such resource")
		return
	}
	var i item
	switch err := i.scan(s.get.QueryRowContext(r.Context(), id)); {
	case errors.Is(err, sql.ErrNoRows):
		refuse(w, http.StatusNotFound, "no such item")
	case err != nil:
		fail(w, r, err)
	default:
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, i.Version))
		answer(w, http.StatusOK, &i)
	}
}

func (s *service) listItems(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > limitMax {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("limit must be 1 to %d", limitMax))
		return
	}
	rows, err := s.list.QueryContext(r.Context(), limit)
	if err != nil {
		fail(w, r, err)
		return
	}
	defer rows.Close()
	items := make([]item, 0, limit)
	for rows.Next() {
		var i item
		if err := i.scan(rows); err != nil {
			fail(w, r, err)
			return
		}
		items = append(items, i)
	}
	if err := rows.Err(); err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"items": items})
}

func decoder(r io.Reader) *json.Decoder {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	return d
}

func (s *service) postItem(w http.ResponseWriter, r *http.Request) {
	i := item{Version: 1}
	d := decoder(http.MaxBytesReader(w, r.Body, bodyMax))
	if err := d.Decode(&i.newItem); err != nil || d.More() {
		refuse(w, http.StatusBadRequest, "the body must be one item")
		return
	}
	if err := i.check(); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	now := time.Now().UnixMilli()
	result, err := s.insert.ExecContext(r.Context(), i.Name, i.Category, i.Quantity, i.PriceCents, now)
	if err != nil {
		fail(w, r, err)
		return
	}
	if i.ID, err = result.LastInsertId(); err != nil {
		fail(w, r, err)
		return
	}
	i.CreatedAt, i.UpdatedAt = formatTime(now), formatTime(now)
	w.Header().Set("Location", fmt.Sprintf("/v1/items/%d", i.ID))
	w.Header().Set("ETag", `"1"`)
	answer(w, http.StatusCreated, &i)
}

// writeAll returns what ended the export; the client sees it cut off.
func (s *service) writeAll(ctx context.Context, w io.Writer) error {
	rows, err := s.all.QueryContext(ctx)
	if err != nil {
		return err
	}
	defer rows.Close()
	buffered := bufio.NewWriterSize(w, 1<<16)
	e := encoder(buffered)
	var i item
	for rows.Next() {
		if err := i.scan(rows); err != nil {
			return err
		}
		if err := e.Encode(&i); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return buffered.Flush()
}

func (s *service) exportItems(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	if err := s.writeAll(r.Context(), w); err != nil {
		if r.Context().Err() == nil {
			log.Print(err)
		}
		panic(http.ErrAbortHandler)
	}
}

// badLine is the client's fault.
type badLine struct {
	number int64
	err    error
}

func (b badLine) Error() string {
	return fmt.Sprintf("line %d: %v", b.number, b.err)
}

// readAll keeps all the items or none.
func (s *service) readAll(ctx context.Context, r io.Reader) (int64, error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // does nothing after the commit
	insert := tx.StmtContext(ctx, s.insert)
	now := time.Now().UnixMilli()
	d := decoder(r)
	for count := int64(0); ; count++ {
		var n newItem
		err := d.Decode(&n)
		if err == io.EOF {
			return count, tx.Commit()
		}
		if err == nil {
			err = n.check()
		}
		if err != nil {
			return 0, badLine{count + 1, err}
		}
		_, err = insert.ExecContext(ctx, n.Name, n.Category, n.Quantity, n.PriceCents, now)
		if err != nil {
			return 0, err
		}
	}
}

func (s *service) importItems(w http.ResponseWriter, r *http.Request) {
	count, err := s.readAll(r.Context(), bufio.NewReaderSize(r.Body, 1<<16))
	var bad badLine
	switch {
	case errors.As(err, &bad):
		refuse(w, http.StatusUnprocessableEntity, bad.Error())
	case err != nil:
		fail(w, r, err)
	default:
		answer(w, http.StatusOK, map[string]int64{"imported": count})
	}
}

func (s *service) readGroups(ctx context.Context) ([]group, error) {
	rows, err := s.report.QueryContext(ctx)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	groups := []group{}
	for rows.Next() {
		var g group
		err := rows.Scan(&g.Category, &g.Count, &g.TotalQuantity, &g.TotalValueCents, &g.MedianCents)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, rows.Err()
}

// reportInventory tells bench_leave when it has ended.
func (s *service) reportInventory(w http.ResponseWriter, r *http.Request) {
	defer fmt.Println("report ended")
	groups, err := s.readGroups(r.Context())
	if err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string][]group{"groups": groups})
}

type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handle, found := m[r.Method]
	if !found {
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	handle(w, r)
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", methods{"GET": s.health})
	mux.Handle("/v1/items", methods{"GET": s.listItems, "POST": s.postItem})
	mux.Handle("/v1/items/", methods{"GET": s.getItem})
	mux.Handle("/v1/items/export", methods{"GET": s.exportItems})
	mux.Handle("/v1/items/import", methods{"POST": s.importItems})
	mux.Handle("/v1/reports/inventory", methods{"GET": s.reportInventory})
	return mux
}

func run(port, file string) error {
	s, err := newService(file)
	if err != nil {
		return err
	}
	defer s.readers.Close()
	defer s.writer.Close()
	server := &http.Server{
		Addr:              "127.0.0.1:" + port,
		Handler:           s.routes(),
		ReadHeaderTimeout: 30 * time.Second,
	}
	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-stopped.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintf(os.Stderr, "Usage: %s PORT DATABASE\n", os.Args[0])
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
