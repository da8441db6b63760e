// What questions are made of: a text, how it is cut on the wire, and in a part of them a fault.  The faults are those that umbel-mock-llm
// says it has: one that this list does not know ends the run, so that no new fault goes untested.
import { execFileSync } from 'node:child_process';

// How an answer must end.  whole: COMPLETE with exactly the truth.  broken: failed after a part of the truth.  refused: failed without a
// word.  either: whole or broken or refused, whichever the service's own record and the access log agree on.
const FAULTS = {
  status: (r) => r.pick([['status=500', 'refused'], ['status=503:retryafter=0', 'refused'], ['status=429:retryafter=0', 'refused'], ['status=400', 'refused'],
    ['status=401', 'refused'], ['status=404', 'refused'], ['status=200json', 'refused'], ['status=503:retryafter=0:times=1', 'whole'], ['status=500:times=1', 'whole']]),
  html: (r) => r.pick([['html=1', 'refused'], ['html=1:times=1', 'whole']]),
  gzip: () => ['gzip=1', 'refused'],
  stall: (r) => r.pick([['stall=head', 'refused'], ['stall=first', 'refused'], [`stall=${r.whole(1, 9)}`, 'broken']]),
  reset: (r) => r.pick([['reset=0', 'refused'], ['reset=0:times=1', 'whole'], [`reset=${r.whole(1, 9)}`, 'broken']]),
  close: (r) => r.pick([['close=0', 'refused'], ['close=0:times=1', 'whole'], [`close=${r.whole(1, 9)}`, 'broken']]),
  endchunk: (r) => r.pick([['endchunk=0', 'refused'], [`endchunk=${r.whole(1, 9)}`, 'broken']]),
  malformed: (r) => [`malformed=${r.whole(4, 9)}`, 'broken'],
  errorat: (r) => r.pick([['errorat=0', 'refused'], [`errorat=${r.whole(1, 9)}`, 'broken'], [`errorat=${r.whole(1, 9)}:errordone=1`, 'broken']]),
  longline: (r) => [`longline=${r.pick([3000, 70000, 400000])}`, 'whole'],
  headers: () => ['headers=endless', 'refused'],
  slowhead: (r) => [`slowhead=${r.whole(50, 700)}`, 'whole'],
};
const TEXTS = ['text=mixed', 'text=ascii', 'text=cjk', 'text=emoji', 'text=count', 'text=mixed:reasoning=3'];
const CUTS = ['', '', '', ':cut=any', ':cut=coalesce', ':chunks=any', ':comments=3', ':http=close', ':cut=any:chunks=any'];

/** The faults that the service lists in its help; fails for one that is not in the table above, and for one of the table that it has not. */
export function faultsOf(program) {
  const help = execFileSync(program, ['--help'], { encoding: 'utf8' });
  const found = [...help.matchAll(/^ {2}(\w+)=[^\n]*(?:\n {10,}[^\n]*)?\[fault\]$/gm)].map((m) => m[1]);
  const strange = found.filter((name) => !FAULTS[name]), gone = Object.keys(FAULTS).filter((name) => !found.includes(name));
  if (!found.length || strange.length || gone.length) throw new Error(`faults of the mock service: not known here: ${strange}; not known there: ${gone}`);
  return found;
}

export class Menu {
  /** faulty: the share of questions with a fault. */
  constructor(faults, { faulty = 0.35, paces = [10, 40, 120], tokens = [12, 60] } = {}) {
    Object.assign(this, { faults, faulty, paces, tokens, served: 0, counts: {} });
  }
  /** A model without its name: { options, expect, fault }.  named: that fault, else by chance; the first questions take each fault in turn. */
  choose(r, dialect = 'openai') {
    const text = r.pick(TEXTS), pace = r.pick(this.paces), big = r.chance(0.01);
    const parts = [text, `tokens=${r.whole(...this.tokens)}`, `pace=${pace}`, `seed=${r.whole(1, 40)}`];
    if (big) parts.splice(1, 2, 'tokens=300', 'bytes=1500', 'pace=2');
    let fault = null, expect = 'whole', options = parts.join(':') + r.pick(CUTS);
    const due = this.served++ % 3 === 0 && this.served / 3 <= this.faults.length ? this.faults[Math.floor(this.served / 3)] : null;
    if (due || r.chance(this.faulty)) {
      fault = due ?? r.pick(this.faults);
      let spec;
      [spec, expect] = FAULTS[fault](r);
      options = `${parts.join(':')}:${spec}`;
      if (fault === 'longline' && dialect !== 'openai') expect = 'either';
      this.counts[fault] = (this.counts[fault] ?? 0) + 1;
    }
    return { options, expect, fault };
  }
}
