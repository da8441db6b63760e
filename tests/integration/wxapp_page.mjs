// The published mini-program page's handler of one chunk callback, rebuilt from its decisions (docs: protocols, "what the published
// handler does").  It keeps nothing between callbacks, and an exception loses the whole callback.
const decoder = new TextDecoder();

export class Page {
  constructor() {
    this.bubbles = ['(first)', '']; // the first message, and the one being answered
    this.locked = true;
    this.lost = 0;
    this.unlocks = 0;
    this.toasts = [];
    this.went = null;
  }

  get text() {
    return this.bubbles.at(-1);
  }

  chunk(bytes) {
    try {
      this.#handle(decoder.decode(bytes));
    } catch {
      this.lost++;
    }
  }

  #unlock() {
    this.locked = false;
    this.unlocks++;
  }

  #handle(text) {
    if (text.indexOf('error') > 0) {
      const message = JSON.parse(text.replace('event: error\ndata: ', '').replace('\r\n', ''));
      this.#unlock();
      this.#act(message.code, message.msg);
    } else if (text.includes('success')) {
      for (const piece of text.split('success: ')) {
        if (piece) this.bubbles[this.bubbles.length - 1] += JSON.parse(piece).content;
      }
      // an exception above loses the callback's unlocking too, and nothing here unlocks
    } else if (text.replace('\r\n', '') == 0) {
      this.#unlock();
    }
  }

  #act(code, msg) {
    switch (code) {
      case 0:
        this.toasts.push(msg);
        this.bubbles[this.bubbles.length - 1] = msg;
        break;
      case 10001: case 11000: case 500: case 404:
        this.toasts.push(msg);
        this.bubbles[0] = msg;
        break;
      case -1:
        this.bubbles.pop();
        this.went = 'login';
        break;
      case 101:
        this.bubbles.pop();
        this.toasts.push(msg);
        this.went = 'recharge';
        break;
      case 102:
        this.bubbles[this.bubbles.length - 1] = msg;
        this.toasts.push(msg);
        break;
    }
  }
}

/** A page that has been given these callbacks. */
export function show(...callbacks) {
  const page = new Page();
  for (const bytes of callbacks) page.chunk(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes));
  return page;
}
