# The rules of script/check-layers, which gathers what is read here, a line each:
#
#   include FILE:NUMBER:TEXT         a line of FILE with an #include
#   interface TEXT                   a line of a header of db/
#   symbol OBJECT:[ADDRESS] TYPE NAME   as nm tells them of the product's objects
#
# and, in the environment, the tables at its head. Prints what breaks a rule; fails if
# anything does.

BEGIN {
	read_arrows(ENVIRON["arrows"], ENVIRON["temporary_arrows"])
	read_libraries(ENVIRON["libraries"])
	words_of(ENVIRON["tables"], is_table)
	words_of(ENVIRON["temporary_circles"], excused)
	failed = 0
}

# may[FROM, TO]: the arrows, and of every room to itself.
function read_arrows(table, temporary, lines, words, count, n, i, j) {
	count = split(table, lines, "\n")
	for (i = 1; i <= count; i++) {
		n = split(lines[i], words, " ")
		if (n > 0)
			is_room[words[1]] = 1
		for (j = 1; j <= n; j++)
			may[words[1], words[j]] = 1
	}
	count = split(temporary, words, " ")
	for (i = 1; i <= count; i++) {
		split(words[i], lines, ">")
		may[lines[1], lines[2]] = 1
	}
}
function read_libraries(table, lines, words, count, i) {
	count = split(table, lines, "\n")
	for (i = 1; i <= count; i++) {
		if (split(lines[i], words, " ") != 3)
			continue
		libraries++
		library[libraries] = "^" words[1] "$"
		library_room[libraries] = words[2]
		library_user[libraries] = words[2] "/" words[3]
	}
}
function words_of(text, set, words, count, i) {
	count = split(text, words, " ")
	for (i = 1; i <= count; i++)
		set[words[i]] = 1
}
function complain(where, what) {
	print where ": " what
	failed = 1
}
function folder_of(path) {
	return sub(/\/[^\/]*$/, "", path) ? path : ""
}
# tests and bench are no rooms of the product: they include what they like, and nothing
# of the product includes them.
function is_free(path) {
	return path ~ /^(tests|bench)\//
}
# A unit is a .c with its .h, but for tables.
function unit_of(path, unit) {
	unit = path
	sub(/\.[ch]$/, "", unit)
	return unit in is_table ? path : unit
}

# ---- Includes ------------------------------------------------------------------------------

/^include / {
	split(substr($0, length("include ") + 1), part, ":")
	file = part[1]
	where = file ":" part[2]
	if (!match($0, /["<][^">]*[">]/)) {
		complain(where, "an include must name its file")
		next
	}
	header = substr($0, RSTART + 1, RLENGTH - 2)
	ours = folder_of(header) in is_room || is_free(header)
	check_spelling(where, header, ours, substr($0, RSTART, 1) == "\"")
	if (!is_free(file))
		check_arrow(where, file, header, ours)
	if (!(file in includes))
		files[++file_count] = file
	includes[file] = includes[file] " " header
}
function check_spelling(where, header, ours, quoted) {
	if (header ~ /\.c$/)
		complain(where, "includes a .c file")
	if (header ~ /(^|\/)\.\.?\//)
		complain(where, "an include is a path from the root, without dots")
	else if (quoted && !ours)
		complain(where, "an include of ours starts with its room: \"" header "\"")
}
function check_arrow(where, file, header, ours, room, i) {
	room = folder_of(file)
	if (!(room in is_room))
		complain(where, room "/ is no room: it has no arrows in script/check-layers")
	else if (ours && !((room, folder_of(header)) in may))
		complain(where, room "/ must not include " header)
	else if (ours)
		add_edge(unit_of(file), unit_of(header), "")
	for (i = 1; i <= libraries; i++)
		if (header ~ library[i] && file !~ ("^" library_user[i] "$"))
			complain(where, header " is only for " library_user[i])
}

# Nothing outside of a library's room gets its header by including ours.
function check_reach(file, i, seen, queue, list, n, j, header) {
	queue = includes[file]
	while (queue ~ /[^ ]/) {
		n = split(queue, list, " ")
		queue = ""
		for (j = 1; j <= n; j++) {
			header = list[j]
			if (header in seen)
				continue
			seen[header] = 1
			queue = queue " " includes[header]
			if (header ~ library[i] && index(includes[file] " ", " " header " ") == 0)
				complain(file, "reaches " header " through what it includes")
		}
	}
}

# ---- Symbols -------------------------------------------------------------------------------

# What the headers of db/ declare is db's, whichever engine defines it.
/^interface / {
	text = without_comments(substr($0, length("interface ") + 1))
	while (match(text, /[A-Za-z_][A-Za-z_0-9]*[(;[]/)) {
		declared[substr(text, RSTART, RLENGTH - 1)] = 1
		text = substr(text, RSTART + RLENGTH)
	}
}
function without_comments(line, code, at) {
	code = ""
	while (line != "") {
		at = index(line, in_comment ? "*/" : "/*")
		if (!in_comment)
			code = code (at ? substr(line, 1, at - 1) : line)
		if (at)
			in_comment = !in_comment
		line = at ? substr(line, at + 2) : ""
	}
	return code
}

/^symbol / {
	at = index($0, ":")
	count = split(substr($0, at + 1), word, " ")
	unit = substr($0, length("symbol ") + 1, at - length("symbol ") - 1)
	sub(/^.*\.dir\/(generated\/)?/, "", unit)
	sub(/\.o$/, "", unit)
	unit = unit_of(unit)
	name = word[count]
	if (name == "__gnu_lto_slim")
		complain(unit, "nm cannot read what link-time optimisation left in its object")
	if (word[count - 1] == "U") {
		taken[++taken_count] = name
		taken_by[taken_count] = unit
	} else if (word[count - 1] ~ /^[A-Z]$/) {
		defined_in[name] = unit
		defined_in[folder_of(unit), name] = unit
	}
}
# The rest comes from libraries and from the compiler.
function is_ours(name) {
	return name in defined_in
}
function check_taken(unit, name, room, definer, home) {
	room = folder_of(unit)
	definer = (room, name) in defined_in ? defined_in[room, name] : defined_in[name]
	home = folder_of(definer)
	if (home ~ /^db\// && name in declared)
		home = "db"
	if (!((room, home) in may) && room != folder_of(definer))
		complain(unit, room "/ must not take " name " of " definer)
	else
		add_edge(unit, definer, " (" name ")")
}

# ---- Circles -------------------------------------------------------------------------------

function add_edge(from, to, label) {
	if (from == to || (from, to) in edge_label)
		return
	if (!(from in edges))
		units[++unit_count] = from
	edges[from] = edges[from] " " to
	edge_label[from, to] = label
}
# Complains of the shortest circle through unit, if there is one.
function check_circle(unit, queue, n, i, j, next_ones, came_from, from, to) {
	queue[1] = unit
	n = 1
	for (i = 1; i <= n; i++) {
		from = queue[i]
		split(edges[from], next_ones, " ")
		for (j = 1; j in next_ones; j++) {
			to = next_ones[j]
			if (to in came_from)
				continue
			came_from[to] = from
			queue[++n] = to
			if (to == unit) {
				tell_circle(unit, came_from)
				return
			}
		}
	}
}
function tell_circle(unit, came_from, path, at, is_excused) {
	path = ""
	at = unit
	is_excused = 1
	do {
		in_circle[at] = 1
		if (!(at in excused))
			is_excused = 0
		path = " -> " at edge_label[came_from[at], at] path
		at = came_from[at]
	} while (at != unit)
	if (!is_excused)
		complain("circle", unit path)
}

END {
	for (i = 1; i <= file_count; i++)
		for (j = 1; j <= libraries; j++)
			if (!is_free(files[i]) && folder_of(files[i]) != library_room[j]) {
				split("", seen)
				check_reach(files[i], j, seen)
			}
	for (i = 1; i <= taken_count; i++)
		if (is_ours(taken[i]))
			check_taken(taken_by[i], taken[i])
	for (i = 1; i <= unit_count; i++)
		if (!(units[i] in in_circle))
			check_circle(units[i])
	exit failed
}
