// What a benchmark is asked for.  A word that it does not know ends it: a measurement of something else than was meant is worse than none.

function read(name, wanted, given, bound = 1) {
  if (Array.isArray(bound)) {
    const choices = bound;
    const words = given.split(',');
    const strange = words.find((each) => !choices.includes(each));
    if (strange !== undefined) throw new Error(`--${name}: "${strange}" is unknown; it takes ${choices.join(', ')}, several with a comma between`);
    return words;
  }
  const numbers = given.split(',').map((each) => (/^\d{1,9}$/.test(each) && Number(each) >= bound ? Number(each) : NaN));
  if (numbers.some(Number.isNaN) || (numbers.length > 1 && !Array.isArray(wanted)))
    throw new Error(`--${name} takes ${Array.isArray(wanted) ? 'whole numbers with a comma between' : 'a whole number'} from ${bound} on, not "${given}"`);
  return Array.isArray(wanted) ? numbers : numbers[0];
}

/**
 * The options of one benchmark, from the command line.
 * @param what its name, for messages
 * @param table option -> [default, what it means, bound?]; the default's form says what is taken: a number, a list of numbers, false for a
 *   switch.  bound: the least number (1 unless told), or the list of words that are known: then a list of words is taken
 * @returns option -> value.  Ends the process: --help with 0, a mistake with 2 and a line on stderr.
 */
export function options(what, table, given = process.argv.slice(2)) {
  const values = Object.fromEntries(Object.entries(table).map(([name, [otherwise]]) => [name, otherwise]));
  try {
    for (let i = 0; i < given.length; i++) {
      const name = given[i].replace(/^--/, '');
      if (name === 'help' || name === '-h') {
        console.log(`bench ${what}`);
        for (const [option, [otherwise, meaning]] of Object.entries(table))
          console.log(`  ${`--${option}${otherwise === false ? '' : ` ${otherwise}`}`.padEnd(26)} ${meaning}`);
        process.exit(0);
      }
      if (!given[i].startsWith('--') || !Object.hasOwn(table, name))
        throw new Error(`"${given[i]}" is unknown; it takes ${Object.keys(table).map((each) => `--${each}`).join(' ')}`);
      const [otherwise, , bound] = table[name];
      if (otherwise === false) {
        values[name] = true;
        continue;
      }
      if (++i >= given.length || given[i].startsWith('--')) throw new Error(`--${name} needs a value, like ${otherwise}`);
      values[name] = read(name, otherwise, given[i], bound);
    }
  } catch (error) {
    console.error(`bench ${what}: ${error.message}`);
    process.exit(2);
  }
  return values;
}
