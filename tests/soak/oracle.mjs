// Was everybody told the truth, once?  Three witnesses: what each client was given, what the service says it sent (its own log), and the
// daemon's access log.  They must agree.

const prefix = (text, truth) => truth.startsWith(text);
const show = (text) => JSON.stringify(text.length > 80 ? `${text.slice(0, 40)}…${text.slice(-40)}` : text);

/** How an answer may have ended: a set of the access log's verdicts. */
function allowed(world, q) {
  const verdicts = { whole: ['complete'], broken: ['failed', 'truncated'], refused: ['failed', 'truncated'], either: ['complete', 'failed', 'truncated'] }[q.expect];
  return q.stopped || q.abandoned || world.accidents ? [...verdicts, 'cancelled'] : verdicts;
}

/** The texts of one answer: all who heard its end have the same, and it is the truth or, if it broke off, a part of it from its beginning. */
async function judgeAnswer(world, id, journeys, line, q) {
  const complain = (what, more = {}) => world.problem(what, { id, model: q.model, app: q.app, verdict: line?.verdict, error: line?.error, ...more });
  const truth = await world.truth(q);
  const ended = journeys.filter((j) => j.outcome === 'clean' || j.outcome === 'error');

  for (const j of journeys) {
    if (!prefix(j.text, truth)) complain('text that the service never said', { path: j.path.join(' '), text: show(j.text), truth: show(truth) });
    if (j.outcome === 'endless') complain('no end', { path: j.path.join(' '), text: show(j.text) });
  }
  if (!line) {
    if (ended.length) complain('an answer that is in no record');
    return;
  }
  world.verdicts[line.verdict] = (world.verdicts[line.verdict] ?? 0) + 1;
  world.bytes += line.text_bytes;
  if (!allowed(world, q).includes(line.verdict)) {
    /* the one excuse: time ran out because the machine stood still, which this program has noticed too */
    if (line.error === 'timeout' && world.lag.worst > 2000) world.excused = (world.excused ?? 0) + 1;
    else complain(`expected ${q.expect}`, { fault: q.fault });
  }
  for (const j of ended) {
    if ((j.outcome === 'clean') !== ['complete', 'cancelled'].includes(line.verdict)) complain(`told ${j.outcome}`, { path: j.path.join(' '), words: j.error });
    if (Buffer.byteLength(j.text) !== line.text_bytes) complain('has not all bytes', { has: Buffer.byteLength(j.text), of: line.text_bytes, words: j.error, path: j.path.join(' '), text: show(j.text) });
    if (line.verdict === 'complete' && j.text !== truth) complain('not the whole truth', { path: j.path.join(' '), text: show(j.text), truth: show(truth) });
  }
}

/** The service's word: whoever was told COMPLETE got an answer that the service finished. */
function judgeService(world, q, line, records) {
  if (!line || line.verdict !== 'complete' || !/^q\d+:/.test(q.model)) return;
  const all = Number(/:tokens=(\d+)/.exec(q.model)?.[1]); /* whoever has everything may close before the service has said goodbye */
  if (!records.some((r) => r.end === 'complete' || (r.end === 'client_closed' && r.tokens >= all))) world.problem('COMPLETE, but the service never finished it', { model: q.model, ends: records.map((r) => r.end).join(' ') });
}

async function judgeChat(world, j) {
  const truth = await world.mock.text(j.model, 'x');
  const words = { user: j.user, bot: j.bot };
  const text = (j.messages ?? []).filter((m) => m.src !== 23).map((m) => m.text).join('');
  if (j.outcome === 'endless') world.problem('no end in a chat', { ...words, messages: j.messages?.length });
  else if (j.expect === 'whole' && text !== truth) world.problem('a chat has not the truth', { ...words, text: show(text), truth: show(truth) });
  else if (j.expect === 'broken' && !prefix(text, truth)) world.problem('a chat has text that the service never said', { ...words, text: show(text) });
}

/** Looks at all journeys of a round; problems go to world.problems. */
export async function judge(world, journeys) {
  const { access, services } = await world.logs();
  const lines = new Map(access.map((l) => [l.stream, l])), records = new Map(), answers = new Map();

  for (const r of services) records.set(r.model, [...(records.get(r.model) ?? []), r]);
  const nameOf = (q) => {
    const named = q.ids.size ? [...q.ids] : access.filter((l) => /^q\d+:/.test(l.model) && l.model === q.model).map((l) => l.stream);
    return named.length === 1 ? named[0] : null;
  };
  if (access.length !== lines.size) world.problem('an answer stands twice in the access log');
  for (const j of journeys) {
    if (j.kind === 'im') {
      await judgeChat(world, j);
      continue;
    }
    for (const bad of new Set(j.bad)) world.problem(bad, { path: j.path.join(' '), id: j.id, model: j.q.model });
    if (j.outcome === 'lost' && !world.accidents) world.problem('a connection was closed without a word', { path: j.path.join(' '), model: j.q.model, detail: j.detail });
    if (j.outcome === 'closed') world.problem('a watcher was closed without a word', { path: j.path.join(' ') });
    /* a mini-program that had to wait is not told its answer's name; of one that was cancelled without a word it hears the end only */
    const silent = j.outcome === 'clean' && lines.get(nameOf(j.q))?.text_bytes === 0;
    if (!j.id && j.kind === 'watch' && (j.text || silent)) j.id = nameOf(j.q);
    const nameless = j.id && !lines.has(j.id) && j.outcome === 'error' && j.text === ''; /* ws-bmob gives refusals a name of their own */
    if (!j.id || nameless) {
      if (j.outcome === 'endless') world.problem('no answer at all', { path: j.path.join(' '), model: j.q.model });
      if (j.outcome === 'clean') world.problem('an end without an answer', { path: j.path.join(' '), session: j.q.session, began: new Date(j.began).toISOString(), ms: j.ms });
      const sentAway = world.accidents && j.kind === 'watch' && j.error?.includes('The service is renewed'); /* a watch that waited when its host went */
      if (j.outcome === 'error' && j.q.expect === 'whole' && !j.q.stopped && !sentAway) world.problem('refused', { words: j.error, app: j.q.app, path: j.path.join(' '), model: j.q.model });
      continue;
    }
    if (!answers.has(j.id)) answers.set(j.id, []);
    answers.get(j.id).push(j);
  }
  const owners = new Map(world.questions.flatMap((q) => [...q.ids].map((id) => [id, q])));
  for (const [id, them] of answers) {
    const q = owners.get(id) ?? them[0].q;
    await judgeAnswer(world, id, them, lines.get(id), q);
    judgeService(world, q, lines.get(id), records.get(q.model) ?? []);
  }
}
