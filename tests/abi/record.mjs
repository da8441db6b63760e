// record.mjs - writes layout_MAJOR_MINOR.c from a set of public headers: every struct's members, their places and types, the constants, the
// functions.  Run once for each ABI that is released; the result is committed and never changed:
//   node tests/abi/record.mjs tests/abi/include-1.0 > tests/abi/layout_1_0.c
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(process.argv[2]);
const headers = fs.readdirSync(path.join(root, 'umbel')).filter((name) => name.endsWith('.h')).sort();
const strip = (text) => text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)/g, '').replace(/\\\n/g, ' ');
const structs = [], constants = [], functions = [];

function members(struct, body) {
  for (const raw of body.split(';').map((part) => part.replace(/\s+/g, ' ').trim()).filter(Boolean)) {
    const pointer = /^(.*?)\(\*(\w+)\)(\(.*\))$/.exec(raw);
    if (pointer) {
      struct.members.push({ name: pointer[2], type: `${pointer[1].trim()} (*)${pointer[3]}` });
      continue;
    }
    const [first, ...more] = raw.split(',').map((part) => part.trim());
    const [, type, name] = /^(.*?[\s*])(\w+)$/.exec(first);
    struct.members.push({ name, type: type.trim() });
    for (const each of more) {
      const stars = /^(\**)(\w+)$/.exec(each);
      struct.members.push({ name: stars[2], type: `${type.replace(/\**\s*$/, '').trim()} ${type.includes('*') ? '*' : ''}`.trim() });
    }
  }
}
for (const header of headers) {
  const text = strip(fs.readFileSync(path.join(root, 'umbel', header), 'utf8'));
  for (const [, name, value] of text.matchAll(/^#define (UMBEL_[A-Z0-9_]+) (\S+)\s*$/gm))
    if (/^(0x)?[0-9a-f]+u?$/i.test(value) && !/ABI_|VERSION/.test(name)) constants.push({ name, value });
  for (const [, name, body] of text.matchAll(/struct (umbel_\w+) \{([^}]*)\};/g)) {
    const struct = { name, members: [] };
    members(struct, body);
    structs.push(struct);
  }
  for (const [, prototype] of text.matchAll(/UMBEL_EXPORT\s+([^;{]*?\));/g)) functions.push(prototype.replace(/\s+/g, ' ').replace(/\s+\)/g, ')').trim());
}

// Places and sizes, from the compiler.
const probe = headers.map((h) => `#include <umbel/${h}>\n`).join('') + '#include <stdio.h>\nint main(void) {\n' +
  structs.map((s) => `printf("%zu\\n", sizeof(struct ${s.name}));\n` + s.members.map((m) => `printf("%zu\\n", offsetof(struct ${s.name}, ${m.name}));\n`).join('')).join('') + 'return 0; }\n';
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-abi-'));
fs.writeFileSync(path.join(folder, 'probe.c'), probe);
execFileSync('cc', ['-std=c17', '-I', root, path.join(folder, 'probe.c'), '-o', path.join(folder, 'probe')]);
const numbers = execFileSync(path.join(folder, 'probe'), { encoding: 'utf8' }).trim().split('\n');
fs.rmSync(folder, { recursive: true });

const version = fs.readFileSync(path.join(root, 'umbel/version.h'), 'utf8');
const abi = /ABI_MAJOR (\d+)[\s\S]*ABI_MINOR (\d+)/.exec(version);
const print = (line) => process.stdout.write(`${line}\n`);
print(`/* Made once by record.mjs of the headers of ABI ${abi[1]}.${abi[2]}: what every later ${abi[1]}.x must keep.  Never changed: if this does not compile, the`);
print(' * headers broke the ABI.  A struct that says its own size may grow at its end; the others may not.  docs/internals/abi.md. */');
for (const header of headers) print(`#include <umbel/${header}>`);
print('\n#define AT(type, member, at) _Static_assert(offsetof(struct type, member) == (at), #type "." #member " has moved")');
print('#define IS(type, member, is) _Static_assert(__builtin_types_compatible_p(__typeof__(((struct type *)0)->member), is), #type "." #member " has another type")');
print('#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type " has another size and cannot tell it")');
print('#define GROWS(type, size) _Static_assert(sizeof(struct type) >= (size), #type " has shrunk")');
print('#define VALUE(name, value) _Static_assert((name) == (value), #name " has another value")\n');
for (const struct of structs) {
  print(`${struct.members[0].name === 'struct_size' ? 'GROWS' : 'SIZE'}(${struct.name}, ${numbers.shift()});`);
  for (const member of struct.members) {
    print(`AT(${struct.name}, ${member.name}, ${numbers.shift()});`);
    print(`IS(${struct.name}, ${member.name}, ${member.type});`);
  }
}
print('');
for (const { name, value } of constants) print(`VALUE(${name}, ${value});`);
print('\n/* Every function: the same prototype, and there when this is linked. */');
for (const prototype of functions) print(`${prototype};`);
print('\ntypedef void any_function(void);\nextern any_function *const abi_functions[];\nany_function *const abi_functions[] = {');
for (const prototype of functions) print(`    (any_function *)${/(\w+)\(/.exec(prototype)[1]},`);
print('};\n\nint main(void)\n{\n    return abi_functions[0] ? 0 : 1;\n}');
