# layers.awk - reads layers.table, then source files; prints each include that the table does not allow.

function fail(text) {
    print FILENAME ":" FNR ": " text
}

# A shell pattern as a regular expression: only * is special.
function pattern(glob,   out) {
    out = glob
    gsub(/[.+]/, "\\\\&", out)
    gsub(/\*/, ".*", out)
    return "^" out "$"
}
function fits(text, globs,   list, count, i) {
    count = split(globs, list, " ")
    for (i = 1; i <= count; i++)
        if (text ~ pattern(list[i]))
            return 1
    return 0
}

# The table line of a file: the first whose folder is above it, or whose pattern it matches.
function module_of(path,   i) {
    for (i = 1; i <= modules; i++)
        if (index(path, folder[i] "/") == 1 || (folder[i] ~ /[*.]/ && path ~ pattern(folder[i])))
            return i
    return 0
}
function own_folder(module,   name) {
    name = folder[module]
    if (name ~ /[*.]/)
        sub(/\/[^\/]*$/, "", name)
    return name
}

# May this module include this header of core/?
function allowed(module, header,   list, count, i, part) {
    part = header
    sub(/^core\//, "", part)
    count = split(may[module], list, " ")
    for (i = 1; i <= count; i++) {
        if (list[i] == "core" && part !~ /^(host|carrier)\//)
            return 1
        if (list[i] ~ /\// ? part ~ pattern(list[i]) : index(part, list[i] "/") == 1)
            return 1
    }
    return 0
}

function home_of(library,   i, homes) {
    for (i = 1; i <= modules; i++)
        if ((" " libraries[i] " ") ~ (" " library " ") && folder[i] ~ /^core\//)
            homes = homes (homes == "" ? "" : ", ") folder[i]
    return homes == "" ? "nowhere in core" : homes
}

function exists(path,   line, status) {
    if (!(path in known)) {
        status = (getline line < path)
        known[path] = status >= 0
        close(path)
    }
    return known[path]
}

function check_quoted(header,   here, directory) {
    if (header !~ /\//) { # a sibling: only outside of core, where folders are small programs of their own
        directory = FILENAME
        sub(/[^\/]*$/, "", directory)
        if (FILENAME ~ /^(core|include|tests)\//)
            fail("write \"" header "\" from the root: \"" directory header "\"")
        else if (!exists(directory header))
            fail("there is no " directory header)
        return
    }
    if (!exists(header)) {
        fail("there is no " header)
        return
    }
    here = own_folder(module)
    if (index(header, here "/") == 1 && (here ~ /^(core|include)\// || same_folder(header)))
        return
    if (here == "tests" && header ~ /^(tests|tools|plugins)\//)
        return
    if (here ~ /^tests\// && header ~ /^tests\/(support|fuzz)\//)
        return
    if (header ~ /^core\// && allowed(module, header))
        return
    if (header ~ /^include\/umbel\//)
        fail("write <umbel/...> for a public header")
    else
        fail(here " may not include " header)
}
# Plugins and tools: "own" is the second folder, not all of plugins/.
function same_folder(header,   a, b) {
    split(FILENAME, a, "/")
    split(header, b, "/")
    return a[1] == b[1] && a[2] == b[2]
}

function check_system(header,   i) {
    if (header ~ /^umbel\//) {
        if (!exists("include/" header))
            fail("there is no include/" header)
        return
    }
    if (folder[module] == "include/umbel") {
        if (!fits(header, standard))
            fail("a public header may not include <" header ">")
        return
    }
    for (i = 1; i <= library_count; i++)
        if (fits(header, library_headers[i])) {
            if ((" " libraries[module] " ") !~ (" " library_name[i] " "))
                fail(own_folder(module) " may not include <" header ">: " library_name[i] " lives in " home_of(library_name[i]))
            return
        }
    if (!fits(header, system_headers))
        fail("<" header "> belongs to no known library: add it to tools/check/layers.table")
}

# A module may not reach itself through what it includes.
function reaches(from, to, depth,   list, count, i, j) {
    if (depth > modules)
        return 0
    count = split(may[from], list, " ")
    for (i = 1; i <= count; i++)
        for (j = 1; j <= modules; j++)
            if (folder[j] == "core/" list[i] && (j == to || reaches(j, to, depth + 1)))
                return 1
    return 0
}
function check_circles(   i) {
    for (i = 1; i <= modules; i++)
        if (folder[i] ~ /^core\// && reaches(i, i, 0))
            print table ": " folder[i] ": includes go in a circle"
}

function trim(text) {
    gsub(/^[ \t]+|[ \t]+$/, "", text)
    return text
}

FNR == 1 && NR == 1 { table = FILENAME }

FILENAME == table {
    sub(/#.*/, "")
    if (trim($0) == "")
        next
    count = split($0, column, ":")
    if ($1 == "module" && count == 3) {
        modules++
        folder[modules] = $2
        may[modules] = trim(column[2])
        libraries[modules] = trim(column[3])
    } else if ($1 == "library" && count == 2) {
        library_count++
        library_name[library_count] = $2
        library_headers[library_count] = trim(column[2])
    } else if ($1 == "system" && count == 2) {
        system_headers = system_headers " " trim(column[2])
    } else if ($1 == "standard" && count == 2) {
        standard = standard " " trim(column[2])
    } else {
        print table ":" FNR ": not a line of the table: " $0
    }
    next
}

FNR == 1 {
    module = module_of(FILENAME)
    if (!module)
        fail("no line of the table covers this folder")
}

module && /^[ \t]*#[ \t]*include[ \t]*["<]/ {
    header = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", header)
    quoted = substr(header, 1, 1) == "\""
    sub(/^["<]/, "", header)
    sub(/[">].*$/, "", header)
    if (quoted)
        check_quoted(header)
    else
        check_system(header)
}

END { check_circles() }
