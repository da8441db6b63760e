# banned.awk - reads banned.table, then C files; prints each use of a word that is ruled out.

function trim(text) {
    gsub(/^[ \t]+|[ \t]+$/, "", text)
    return text
}

# The line without comments and without the content of strings and character constants.  Comments may go on over lines.
function code_of(line,   out, i, c, two, quote) {
    out = ""
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") {
                in_comment = 0
                i++
            }
        } else if (quote != "") {
            if (c == "\\")
                i++
            else if (c == quote) {
                out = out c
                quote = ""
            }
        } else if (two == "/*") {
            in_comment = 1
            i++
        } else if (two == "//") {
            break
        } else {
            if (c == "\"" || c == "'")
                quote = c
            out = out c
        }
    }
    return out
}

# Does the word stand in code, not as a part of another one or as a member of something?
function uses(code, word, call,   rest, at, before, after) {
    rest = code
    while ((at = index(rest, word)) > 0) {
        before = at > 1 ? substr(rest, at - 1, 1) : " "
        if (at > 2 && substr(rest, at - 2, 2) == "->")
            before = "."
        rest = substr(rest, at + length(word))
        after = rest
        sub(/^[ \t]+/, "", after)
        if (before !~ /[A-Za-z0-9_.]/ && (call ? after ~ /^\(/ : rest !~ /^[A-Za-z0-9_]/))
            return 1
    }
    return 0
}

function in_scope(scope,   list, count, i) {
    if (scope == "*")
        return 1
    count = split(scope, list, "+")
    for (i = 1; i <= count; i++)
        if (index(FILENAME, list[i] "/") == 1)
            return 1
    return 0
}

function copy_in_sight(line,   i) {
    if (line ~ /st[rp]cpy *\([^"]*, *"/ || line ~ /\/\* fits:/ || line_before ~ /\/\* fits:/)
        return 1
    for (i = FNR; i >= FNR - 6 && i >= 1; i--)
        if (recent[i] ~ /(strlen|sizeof)/)
            return 1
    return 0
}

NR == 1 { table = FILENAME }

FILENAME == table {
    if ($0 ~ /^#/ || trim($0) == "")
        next
    split($0, column, "|")
    rules++
    scope[rules] = trim(column[1])
    word[rules] = trim(column[2])
    why[rules] = trim(column[3])
    call[rules] = sub(/\($/, "", word[rules])
    next
}

FNR == 1 {
    in_comment = 0
    line_before = ""
    split("", recent)
}

{
    code = code_of($0)
    recent[FNR] = code
    if ($0 !~ /allowed: /) {
        for (i = 1; i <= rules; i++)
            if (index(code, word[i]) && in_scope(scope[i]) && uses(code, word[i], call[i]))
                print FILENAME ":" FNR ": " word[i] ": " why[i]
        if (FILENAME ~ /^(core|plugins|tools)\// && (uses(code, "strcpy", 1) || uses(code, "stpcpy", 1)) && !copy_in_sight($0))
            print FILENAME ":" FNR ": strcpy: no bound in sight: check it here, or say it in a comment that begins with \"fits:\""
        if (FILENAME ~ /^(core|plugins)\// && (recent[FNR - 2] recent[FNR - 1] code) !~ /SIG_IGN|SIG_DFL/) {
            if (uses(code, "signal", 1))
                print FILENAME ":" FNR ": signal: a handler may call next to nothing: signalfd"
            if (uses(code, "sigaction", 1))
                print FILENAME ":" FNR ": sigaction: a handler may call next to nothing: signalfd"
        }
    }
    line_before = $0
}
