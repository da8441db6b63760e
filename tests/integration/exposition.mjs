// A strict reader of Prometheus text (0.0.4) and OpenMetrics text (1.0.0): whatever a scraper may refuse is an error here.
import assert from 'node:assert/strict';

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** {a="b",c="d"} from text[at] on: [labels, where it ends]. */
function readLabels(text, at) {
  const labels = {};
  assert.equal(text[at++], '{', text);
  for (;;) {
    const equals = text.indexOf('="', at);
    assert.ok(equals > at, `a label in ${text}`);
    const name = text.slice(at, equals);
    assert.match(name, LABEL, text);
    assert.ok(!(name in labels), `${name} twice in ${text}`);
    let value = '';
    for (at = equals + 2; text[at] !== '"'; at++) {
      assert.ok(at < text.length, `no closing quote in ${text}`);
      if (text[at] !== '\\') value += text[at];
      else {
        const escape = { '\\': '\\', '"': '"', n: '\n' }[text[++at]];
        assert.ok(escape, `a strange escape in ${text}`);
        value += escape;
      }
    }
    assert.ok(value, `an empty label in ${text}`);
    labels[name] = value;
    at++;
    if (text[at] === '}') return [labels, at + 1];
    assert.equal(text[at++], ',', text);
  }
}

function readSample(line) {
  const end = line.search(/[{ ]/);
  const name = line.slice(0, end);
  assert.match(name, NAME, line);
  const [labels, at] = line[end] === '{' ? readLabels(line, end) : [{}, end];
  const value = line.slice(at + 1);
  assert.equal(line[at], ' ', line);
  assert.match(value, /^(\d+(\.\d+)?|\+Inf|NaN)$/, `${line}: a value, no time, nothing negative`);
  return { name, labels, value: Number(value), text: value };
}

const keyOf = (labels, without) =>
  JSON.stringify(Object.entries(labels).filter(([k]) => k !== without).sort(([a], [b]) => (a < b ? -1 : 1)));

function checkHistogram(family) {
  const series = new Map();
  for (const sample of family.samples) {
    const key = keyOf(sample.labels, 'le');
    const one = series.get(key) ?? { buckets: [] };
    series.set(key, one);
    if (sample.name === `${family.name}_bucket`) one.buckets.push([sample.labels.le, sample.value]);
    else one[sample.name.slice(family.name.length + 1)] = sample.value;
  }
  for (const [key, { buckets, sum, count }] of series) {
    const at = `${family.name} ${key}`;
    assert.ok(buckets.length > 1 && sum !== undefined && count !== undefined, `${at}: buckets, sum and count`);
    let bound = -Infinity;
    let below = 0;
    for (const [le, value] of buckets) {
      const now = le === '+Inf' ? Infinity : Number(le);
      assert.ok(now > bound, `${at}: le="${le}" rises`);
      assert.ok(value >= below, `${at}: le="${le}" is cumulative`);
      [bound, below] = [now, value];
    }
    assert.equal(bound, Infinity, `${at}: ends with +Inf`);
    assert.equal(below, count, `${at}: +Inf is the count`);
    assert.ok(count > 0 || sum === 0, `${at}: a sum of nothing`);
  }
}

function checkFamily(family, open) {
  const suffixes = { gauge: [''], counter: [open ? '_total' : ''], histogram: ['_bucket', '_sum', '_count'] }[family.type];
  const seen = new Set();
  assert.ok(family.samples.length, `${family.name} has samples`);
  if (family.type === 'counter' && !open) assert.ok(family.name.endsWith('_total'), `${family.name}: counters end with _total`);
  if (family.type !== 'counter' || open) assert.ok(!family.name.endsWith('_total'), `${family.name}: only counters end with _total`);
  assert.doesNotMatch(family.name, /_(ms|us|ns|milliseconds|nanoseconds|mb|kb|percent)(_|$)/, `${family.name}: base units`);
  for (const sample of family.samples) {
    assert.ok(suffixes.some((suffix) => sample.name === family.name + suffix), `${sample.name} in family ${family.name} (${family.type})`);
    const key = sample.name + keyOf(sample.labels);
    assert.ok(!seen.has(key), `${key} twice`);
    seen.add(key);
    assert.equal('le' in sample.labels, sample.name.endsWith('_bucket') && family.type === 'histogram', key);
  }
  if (family.type === 'histogram') checkHistogram(family);
}

/** Families by name: { name, help, type, samples: [{ name, labels, value }] }.  Throws at the first thing that is not strictly right. */
export function parseExposition(text, { open = false } = {}) {
  const families = new Map();
  let family;
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const lines = text.slice(0, -1).split('\n');
  if (open) assert.equal(lines.pop(), '# EOF');
  for (let i = 0; i < lines.length; i++) {
    const help = /^# HELP (\S+) (.+)$/.exec(lines[i]);
    if (help) {
      const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(lines[++i]);
      assert.ok(type && type[1] === help[1], `TYPE follows HELP of ${help[1]}: ${lines[i]}`);
      assert.match(help[1], NAME);
      assert.ok(!families.has(help[1]), `${help[1]} twice`);
      assert.doesNotMatch(help[2].replace(/\\\\|\\n|\\"/g, ''), open ? /[\\"]/ : /\\/, `${help[1]}: escapes of its help`);
      families.set(help[1], (family = { name: help[1], help: help[2], type: type[2], samples: [] }));
    } else {
      assert.ok(family && !lines[i].startsWith('#'), `a sample: ${lines[i]}`);
      family.samples.push(readSample(lines[i]));
    }
  }
  for (const one of families.values()) checkFamily(one, open);
  const names = new Set([...families.values()].flatMap((f) => f.samples.map((s) => s.name)));
  const clash = [...families.values()].flatMap((f) => [...new Set(f.samples.map((s) => s.name))]);
  assert.equal(clash.length, names.size, 'no sample name in two families');
  return families;
}

/** The one value of a series, by its name and exactly these labels; undefined if it is not there. */
export function valueOf(families, name, labels = {}) {
  for (const family of families.values())
    for (const sample of family.samples)
      if (sample.name === name && keyOf(sample.labels) === keyOf(labels)) return sample.value;
  return undefined;
}

/** The sum of all series of a name whose labels include these. */
export function sumOf(families, name, labels = {}) {
  let sum = 0;
  for (const family of families.values())
    for (const sample of family.samples)
      if (sample.name === name && Object.entries(labels).every(([k, v]) => sample.labels[k] === v)) sum += sample.value;
  return sum;
}
