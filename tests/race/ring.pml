/* ring.pml - the protocols of core/ring as models for spin, which tries every interleaving.  Run by ring_spin.sh: the models must hold,
 * and each one with a step left out (-DNO_...) must fail, or it would prove nothing.
 *
 * RING (default)  one writer, one reader that keeps nothing but its position, a ring of 2 slots, records of 1 and 2 slots of 2 words.
 *   Memory is sequentially consistent here, so W2, W4, R1 and R3 stand for order between statements only: what they add on machines
 *   that reorder is outside of what spin can say (and outside of what x86 can show).
 * WAKE (-DWAKE)   flag and batch with store buffers as x86 has them: each side's store reaches memory later, a fence waits for it. */

#ifndef WAKE

#define SLOTS 2
#define BUSY 255
#define RECORDS 4
#define PAST 100 /* a sequence nobody wants yet */

byte seq[SLOTS] = PAST;
byte word0[SLOTS], word1[SLOTS];
byte head = 0;
bool torn = false, wrongly_lapped = false;

/* W1 - W4 for sequence s; the words carry the sequence, so a mixture shows. */
inline put_slot(s)
{
#ifndef NO_W1
    seq[(s) % SLOTS] = BUSY;
#endif
    word0[(s) % SLOTS] = s;
    word1[(s) % SLOTS] = s;
    seq[(s) % SLOTS] = s
}

active proctype writer()
{
    byte next = 0, n = 0;

    do
    :: n < RECORDS ->
        if
        :: n % 2 == 0 -> put_slot(next); next = next + 1
        :: else ->
#ifdef HEAD_FIRST
            put_slot(next); put_slot(next + 1);
#else
            put_slot(next + 1); put_slot(next);
#endif
            next = next + 2
        fi;
        head = next; /* W5 */
        n = n + 1
    :: else -> break
    od
}

active proctype reader()
{
    byte want = 0, looks = 0, s, a, b, h, size;

    do
    :: looks < 9 ->
        looks = looks + 1;
        s = seq[want % SLOTS]; /* R1 */
        if
        :: s == want ->
            a = word0[want % SLOTS];
            b = word1[want % SLOTS]; /* R2 */
            s = seq[want % SLOTS];
            if
#ifndef NO_R4
            :: s != want -> goto lapped /* R4 */
            :: else ->
#else
            :: true ->
#endif
                if :: a != want || b != want -> torn = true :: else fi;
                /* records alternate: 0 | 1 2 | 3 | 4 5 | 6 */
                size = (want % 3 == 1 -> 2 : 1);
                if
                :: size == 2 ->
                    s = seq[(want + 1) % SLOTS];
                    if
                    :: s != want + 1 ->
                        /* in order to be overwritten, the writer must have begun what comes a ring later */
                        if :: (s == BUSY || s == PAST || s < want + 1) && head <= want -> wrongly_lapped = true :: else fi;
                        goto lapped
                    :: else
                    fi
                :: else
                fi;
                want = want + size
            fi
        :: s != want && s != BUSY && s != PAST && s > want -> goto lapped
        :: else ->
            h = head;
            if
#ifdef LAP_ANY
            :: h > want ->
#else
            :: h > want && h - want > SLOTS - 1 ->
#endif
                /* the claim: nobody is told "lapped" unless the writer is a whole ring on */
                if :: head - want < SLOTS -> wrongly_lapped = true :: else fi;
                goto lapped
            :: else
            fi
        fi;
        skip;
        goto next;
lapped: want = head;
next:   skip
    :: else -> break
    od
}

active proctype monitor()
{
    assert(!torn);
    assert(!wrongly_lapped)
}

#else /* WAKE */

/* Each side's one store waits in its buffer until drained; a fence is a wait for the drain. */
bool flag = false, batch = false;               /* memory */
bool flag_stored = false, batch_stored = false; /* in the buffer, not yet in memory */
bool token = false, waits = false, awake = false, reader_done = false, writer_done = false;

active proctype flag_buffer()
{
    flag_stored -> flag = true; flag_stored = false
}

active proctype batch_buffer()
{
    batch_stored -> batch = true; batch_stored = false
}

active proctype reader()
{
    flag_stored = true; /* S1 */
#ifndef NO_S2
    !flag_stored; /* S2 */
#endif
#ifndef NO_S3
    awake = batch; /* S3 */
#endif
    waits = !awake; /* S4 */
    reader_done = true
}

active proctype writer()
{
    batch_stored = true; /* P1 */
#ifndef NO_P2
    !batch_stored; /* P2 */
#endif
    if
    :: flag -> token = true /* P3 */
    :: else
    fi;
    writer_done = true
}

active proctype monitor()
{
    reader_done && writer_done;
    assert(!waits || token)
}

#endif
