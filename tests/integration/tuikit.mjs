// TUIKit's own code, as published: its robot manager and its stream view, out of the package's tarball, with the chat engine replaced by a
// stub.  The tarball is fetched once into build/ and never installed: a peer of it does not exist.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { access, mkdir, readFile, writeFile, rename } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const here = path.dirname(fileURLToPath(import.meta.url));
const build = path.resolve(here, '../../build/tuikit');
const PACKAGE = '@tencentcloud/chat-uikit-vue@3.0.2';

const stubs = {
  '@tencentcloud/chat-uikit-engine-lite': `
    export default { TYPES: { CONV_C2C: 'C2C', CONV_GROUP: 'GROUP', MSG_CUSTOM: 'TIMCustomElem', MSG_TEXT: 'TIMTextElem' } };
    export const sent = [];
    export const TUIChatService = { sendCustomMessage: (options) => { sent.push(options); return Promise.resolve(); } };
    export const TUIUserService = { getUserProfile: async () => ({ data: [{ avatar: '' }] }) };
    export const TUITranslateService = { t: (key) => '[placeholder ' + key + ']' };
    export const TUIReportService = { reportFeature() {} };`,
  config: 'export const FeaturesType = {}; export default { hideTUIChatFeatures() {}, showTUIChatFeatures() {}, setChatType() {} };',
  marked: 'export const markedWithPurify = (text) => text;',
  copy: 'export default { copyTextOrHtml() {} };',
  operation: 'export default { render: () => null };',
  'adapter-vue': `export * from ${JSON.stringify(require.resolve('vue'))};`,
};

/** null if the package cannot be had (no network and not fetched before). */
async function unpacked() {
  const folder = path.join(build, 'package');
  try {
    await access(path.join(folder, 'package.json'));
    return folder;
  } catch {
    await mkdir(build, { recursive: true });
  }
  try {
    const { stdout } = await run('npm', ['pack', PACKAGE, '--silent', '--pack-destination', build], { cwd: here, timeout: 120000 });
    const half = path.join(build, `half-${process.pid}`);
    await mkdir(half, { recursive: true });
    await run('tar', ['xzf', path.join(build, stdout.trim().split('\n').at(-1)), '-C', half]);
    await rename(path.join(half, 'package'), folder);
    return folder;
  } catch (error) {
    if (/ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|E404|network/i.test(`${error.stderr}${error.message}`)) return null;
    throw error;
  }
}

/** { manager, sent, mountStream } or null. */
export async function loadTuikit() {
  const folder = await unpacked();
  if (!folder) return null;
  const esbuild = require('esbuild');
  const sfc = require('vue/compiler-sfc');
  const chat = path.join(folder, 'components/TUIChat');
  const entry = path.join(build, 'entry.mjs');
  await writeFile(entry, `
    export { default as manager } from ${JSON.stringify(path.join(chat, 'aiRobotManager/index.ts'))};
    export { default as View } from ${JSON.stringify(path.join(chat, 'message-list/message-elements/message-stream-markdown/index.vue'))};
    export { sent } from '@tencentcloud/chat-uikit-engine-lite';
    export * as vue from ${JSON.stringify(require.resolve('vue'))};`);
  const outfile = path.join(build, 'bundle.cjs');
  await esbuild.build({
    entryPoints: [entry], bundle: true, format: 'cjs', platform: 'node', outfile, logLevel: 'silent',
    plugins: [{
      name: 'stubs',
      setup(b) {
        const which = ({ path: p, importer }) => {
          if (p === '@tencentcloud/chat-uikit-engine-lite') return p;
          if (p === 'vue') return 'adapter-vue';
          if (p.endsWith('/adapter-vue')) return 'adapter-vue';
          if (p === '../config' && importer.includes('aiRobotManager')) return 'config';
          if (p === './marked') return 'marked';
          if (p.endsWith('/utils/copy')) return 'copy';
          if (p === './operation/index.vue') return 'operation';
          return null;
        };
        b.onResolve({ filter: /.*/ }, (args) => (which(args) ? { path: which(args), namespace: 'stub' } : undefined));
        b.onLoad({ filter: /.*/, namespace: 'stub' }, (args) => ({ contents: stubs[args.path], loader: 'js', resolveDir: here }));
        b.onLoad({ filter: /index\.vue$/ }, async (args) => {
          const { descriptor } = sfc.parse(await readFile(args.path, 'utf8'), { filename: args.path });
          return { contents: sfc.compileScript(descriptor, { id: 'stream', inlineTemplate: false }).content, loader: 'ts', resolveDir: path.dirname(args.path) };
        });
      },
    }],
  });
  const { manager, View, sent, vue } = (await import(`${pathToFileURL(outfile).href}?${Date.now()}`)).default;
  return { manager, sent, mountStream: (message) => mountStream(vue, View, message) };
}

/** The stream view with a message's data; its bindings are what a page would show. */
function mountStream(vue, View, message) {
  const nothing = () => ({});
  const { createApp } = vue.createRenderer({
    insert() {}, remove() {}, createElement: nothing, createText: nothing, createComment: nothing, setText() {}, setElementText() {}, patchProp() {},
    parentNode: nothing, nextSibling: () => null,
  });
  const data = vue.ref('');
  let bindings;
  const Captured = {
    ...View,
    setup: (props, context) => (bindings = View.setup(props, { ...context, expose() {} })),
    render: () => null,
  };
  const app = createApp({ render: () => vue.h(Captured, { payloadData: data.value, enableMarkdown: false, enableStreaming: true, message }) });
  app.mount({});
  return {
    async show(payload) {
      data.value = payload;
      await vue.nextTick();
    },
    get shown() { return vue.unref(bindings.streamContent); },
    get finished() { return vue.unref(bindings.isFinished); },
    get typing() { return vue.unref(bindings.isStreaming); },
    get buttons() { return vue.unref(bindings.operations); },
    stop: () => app.unmount(),
  };
}
