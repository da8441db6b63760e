"""The case groups of Autobahn's WebSocket suite against a server that sends text messages back, spoken by the library that the suite is made of.

    ws_conformance.py PORT      one JSON object a line: {"case", "ok", "expected", "got"}; the last line: {"cases", "failed"}

The suite itself needs Python 2; its cases are written anew here, by RFC 6455 and under the suite's numbers of groups.  Different from its echo
server: binary messages are refused with 1003, messages of more than 1 MiB with 1009, and no extension is ever negotiated.
A case: what is sent; then which messages and pongs must come, in order, and how it must end: the close codes that are right, None = a close frame
without a code, DROPPED = none is owed.  "prefix": what came must be a beginning of the list: a server may find the fault before it has said
everything.  "some": of several pings at once one must be answered:
libwebsockets drops those that come while a pong still waits for the socket."""
import asyncio
import json
import sys

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
AT_ONCE = 16
DROPPED = "dropped"
LIMIT_S = 60  # of one case: far more than any needs, on a machine that stalls


class Case:
    def __init__(self, name, steps, messages=(), pongs=(), ends=(1000,), prefix=False, chop=None, some=False):
        self.name, self.steps, self.messages, self.pongs = name, steps, list(messages), list(pongs)
        self.ends, self.prefix, self.chop, self.some = ends, prefix, chop, some


def frame(opcode, payload=b"", fin=True, rsv=0):
    return ("frame", opcode, payload, fin, rsv)


def close(code=1000, reason=b""):
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def ordinary():
    """A good client's end: our close frame, sent once everything expected has come."""
    return ("end",)


def split(payload, size):
    pieces = [payload[i:i + size] for i in range(0, len(payload), size)] or [b""]
    return [frame(TEXT if i == 0 else CONTINUATION, piece, i == len(pieces) - 1) for i, piece in enumerate(pieces)]


def framing():
    for size in (0, 1, 125, 126, 127, 128, 65535, 65536):
        text = b"*" * size
        yield Case(f"1.1 text of {size}", [frame(TEXT, text), ordinary()], [text])
    for chop in (1, 997):
        yield Case(f"1.1 text in pieces of {chop}", [frame(TEXT, b"*" * 2000), ordinary()], [b"*" * 2000], chop=chop)
    for size in (0, 1, 126, 65536):
        yield Case(f"1.2 binary of {size}", [frame(BINARY, b"\xfe" * size)], ends=(1003,))


def pings():
    yield Case("2.1 ping without payload", [frame(PING), ordinary()], pongs=[b""])
    for name, payload in (("text", b"Hello, world!"), ("binary", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), ("125 bytes", b"\xfe" * 125)):
        yield Case(f"2.x ping of {name}", [frame(PING, payload), ordinary()], pongs=[payload])
        yield Case(f"2.x ping of {name}, byte by byte", [frame(PING, payload), ordinary()], pongs=[payload], chop=1)
    yield Case("2.5 ping of 126 bytes", [frame(PING, b"\xfe" * 126)], ends=(1002,))
    yield Case("2.7 pong unasked", [frame(PONG), frame(TEXT, b"x"), ordinary()], [b"x"])
    yield Case("2.8 pong unasked with payload", [frame(PONG, b"unasked"), frame(TEXT, b"x"), ordinary()], [b"x"])
    yield Case("2.9 pong, then ping", [frame(PONG, b"unasked"), frame(PING, b"asked"), ordinary()], pongs=[b"asked"])
    many = [b"payload-%d" % i for i in range(10)]
    yield Case("2.10 ten pings", [frame(PING, p) for p in many] + [ordinary()], pongs=many, some=True)
    yield Case("2.11 ten pings, byte by byte", [frame(PING, p) for p in many] + [ordinary()], pongs=many, chop=1, some=True)


def reserved():
    for rsv in range(1, 8):
        yield Case(f"3.x text with RSV {rsv}", [frame(TEXT, b"x", rsv=rsv)], ends=(1002,))
        yield Case(f"3.x text, then text with RSV {rsv}", [frame(TEXT, b"a"), frame(TEXT, b"b", rsv=rsv), frame(PING, b"p")], [b"a"], ends=(1002,), prefix=True)
    yield Case("3.5 ping with RSV", [frame(PING, b"x", rsv=4)], ends=(1002,))
    yield Case("3.6 close with RSV", [frame(CLOSE, b"\x03\xe8", rsv=7)], ends=(1002,))


def opcodes():
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        group = "4.1" if opcode < 8 else "4.2"
        yield Case(f"{group} opcode {opcode}", [frame(opcode)], ends=(1002,))
        yield Case(f"{group} text, then opcode {opcode} with payload", [frame(TEXT, b"a"), frame(opcode, b"reserved"), frame(PING)], [b"a"], ends=(1002,), prefix=True)


def fragmentation():
    yield Case("5.1 ping in two fragments", [frame(PING, b"a", fin=False), frame(CONTINUATION, b"b")], ends=(1002,))
    yield Case("5.2 pong in two fragments", [frame(PONG, b"a", fin=False), frame(CONTINUATION, b"b")], ends=(1002,))
    for chop in (None, 1):
        yield Case(f"5.3 text in two fragments, chop {chop}", split(b"fragment1fragment2", 9) + [ordinary()], [b"fragment1fragment2"], chop=chop)
        first, second = split(b"fragment1fragment2", 9)
        yield Case(f"5.6 a ping between them, chop {chop}", [first, frame(PING, b"ping"), second, ordinary()], [b"fragment1fragment2"], [b"ping"], chop=chop)
    for fin in (True, False):
        yield Case(f"5.9 continuation of nothing, fin {fin}", [frame(CONTINUATION, b"nothing", fin=fin), frame(TEXT, b"x")], ends=(1002,))
        yield Case(f"5.12 continuation after a whole message, fin {fin}", [frame(TEXT, b"a"), frame(CONTINUATION, b"nothing", fin=fin)], [b"a"], ends=(1002,), prefix=True)
    yield Case("5.15 fragments, continuation, then text", split(b"ab", 1) + [frame(CONTINUATION, b"c", fin=False), frame(TEXT, b"d")], [b"ab"], ends=(1002,), prefix=True)
    yield Case("5.18 text begins inside a message", [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")], ends=(1002,))
    many = [frame(TEXT if i == 0 else CONTINUATION, b"f%d" % i, fin=i == 4) for i in range(5)]
    yield Case("5.19 five fragments with pings between", [many[0], many[1], frame(PING, b"one"), many[2], many[3], frame(PING, b"two"), many[4], ordinary()],
               [b"f0f1f2f3f4"], [b"one", b"two"], some=True)
    yield Case("5.x a message that ends with an empty fragment", [frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"", fin=False), frame(CONTINUATION, b"")] + [ordinary()], [b"a"])
    yield Case("5.x a message that is only empty fragments", [frame(TEXT, b"", fin=False), frame(CONTINUATION, b"")] + [ordinary()], [b""])


GOOD = ["Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\u0000", "\u0080", "\u0800", "\U00010000", "\u007f", "\u07ff", "\uffff", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "茶🍵"]
BAD = {"cut short": b"\xce\xba\xe1", "a lone continuation": b"a\x80b", "overlong slash": b"\xc0\xaf", "overlong slash in three": b"\xe0\x80\xaf", "overlong in four": b"\xf0\x80\x80\xaf",
       "overlong zero": b"\xc0\x80", "five bytes": b"\xf8\x88\x80\x80\x80", "six bytes": b"\xfc\x84\x80\x80\x80\x80", "above U+10FFFF": b"\xf4\x90\x80\x80", "high surrogate": b"\xed\xa0\x80",
       "low surrogate": b"\xed\xbf\xbf", "pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80", "fe": b"\xfe", "ff": b"\xff", "lone start": b"\xc2 ", "surrogate amid": "κόσμε".encode() + b"\xed\xa0\x80" + b"edited"}


def utf8():
    for i, text in enumerate(GOOD):
        data = text.encode()
        yield Case(f"6.2 valid {i}", [frame(TEXT, data), ordinary()], [data])
        yield Case(f"6.2 valid {i} in frames of one byte", split(data, 1) + [ordinary()], [data])
    for name, data in BAD.items():
        yield Case(f"6.3 {name}", [frame(TEXT, data)], ends=(1007,))
        yield Case(f"6.3 {name} in frames of one byte", split(data, 1), ends=(1007,))
        yield Case(f"6.4 {name} behind good text in another frame", [frame(TEXT, b"good", fin=False), frame(CONTINUATION, data)], ends=(1007,))


def closing():
    yield Case("7.1 text, then close", [frame(TEXT, b"a"), ordinary()], [b"a"])
    yield Case("7.1 close twice", [close(), close()])
    yield Case("7.1 ping after close", [close(), frame(PING, b"p")])
    yield Case("7.1 text after close", [close(), frame(TEXT, b"a")])
    yield Case("7.1 close amid a message", [frame(TEXT, b"a", fin=False), close(), frame(CONTINUATION, b"b")])
    yield Case("7.1 a long text and close at once", [frame(TEXT, b"x" * 262144), close()], [b"x" * 262144], ends=(1000, DROPPED), prefix=True)
    yield Case("7.3 close without payload", [close(None)], ends=(None, 1000))
    yield Case("7.3 close with one byte", [frame(CLOSE, b"a")], ends=(1002,))
    yield Case("7.3 close with a reason", [close(1000, b"Hello World!")])
    yield Case("7.3 close with a reason of 123 bytes", [close(1000, b"*" * 123)])
    yield Case("7.3 close with a reason of 124 bytes", [close(1000, b"*" * 124)], ends=(1002,))
    yield Case("7.5 close with a reason that is no UTF-8", [close(1000, BAD["surrogate amid"])], ends=(1007, 1002))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield Case(f"7.7 close {code}", [close(code)], ends=(code, 1000))
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Case(f"7.9 close {code}", [close(code)], ends=(1002,))


def limits():
    for size in (65536, 262144, 1048576):
        text = b"*" * size
        yield Case(f"9.1 text of {size}", [frame(TEXT, text), ordinary()], [text])
        for piece in (64, 1024, 65536):
            if size // piece <= 16384:
                yield Case(f"9.3 text of {size} in frames of {piece}", split(text, piece) + [ordinary()], [text])
    yield Case("9.5 text of 262144 in pieces of 64", [frame(TEXT, b"*" * 262144), ordinary()], [b"*" * 262144], chop=64)
    yield Case("9.x one byte over the limit", [frame(TEXT, b"*" * 1048577)], ends=(1009,))
    yield Case("9.x one byte over the limit, in frames", split(b"*" * 1048577, 65536), ends=(1009,))
    for size in (0, 16, 64):
        yield Case(f"9.7 500 messages of {size}", [frame(TEXT, b"*" * size) for _ in range(500)] + [ordinary()], [b"*" * size] * 500)
    yield Case("10.1 65536 in frames of 1300", split(b"*" * 65536, 1300) + [ordinary()], [b"*" * 65536])


def compression():
    yield Case("12.x a compressed frame that nobody agreed on", [frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)], ends=(1002,))
    yield Case("12.x ordinary text after an offer", [frame(TEXT, b"x"), ordinary()], [b"x"])


class Client(WebSocketClientProtocol):
    def onConnect(self, response):
        self.extensions = response.extensions

    def onOpen(self):
        case = self.factory.case
        self.messages, self.pongs, self.ended = [], [], False
        for step in case.steps:
            if step[0] == "end":
                self.ended = True
            else:
                _, opcode, payload, fin, rsv = step
                self.sendFrame(opcode, payload, fin=fin, rsv=rsv, chopsize=case.chop)
        self.end_if_done()

    def end_if_done(self):
        case = self.factory.case
        pongs = len(self.pongs) >= (1 if case.some else len(case.pongs))
        if self.ended and len(self.messages) >= len(case.messages) and pongs:
            self.ended = False
            self.sendFrame(CLOSE, b"\x03\xe8")

    def onMessage(self, payload, isBinary):
        self.messages.append(b"(binary)" if isBinary else payload)
        self.end_if_done()

    def onPong(self, payload):
        self.pongs.append(payload)
        self.end_if_done()

    def onCloseFrame(self, code, reasonRaw):
        """As it came: what the library makes of it (it would answer and judge) is not wanted."""
        self.factory.code = code
        self.factory.seen_close = True
        self.transport.close()

    def onClose(self, wasClean, code, reason):
        if not self.factory.done.done():
            self.factory.done.set_result(self)


def short(items):
    return [f"{item[:24]!r}, {len(item)} bytes" for item in items[:12]]


async def run(port, case):
    factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}/")
    factory.protocol, factory.case, factory.code, factory.seen_close = Client, case, None, False
    offers = [PerMessageDeflateOffer()] if case.name.startswith("12.") else []
    factory.setProtocolOptions(version=18, perMessageCompressionOffers=offers, utf8validateIncoming=True, openHandshakeTimeout=LIMIT_S, closeHandshakeTimeout=LIMIT_S,
                               failByDrop=False, autoPingInterval=0)
    loop = asyncio.get_running_loop()
    factory.loop, factory.done = loop, loop.create_future()
    transport = None
    try:
        transport, _ = await asyncio.wait_for(loop.create_connection(factory, "127.0.0.1", port), LIMIT_S)
        client = await asyncio.wait_for(factory.done, LIMIT_S)
        wrong = judge(case, factory, client)
        got = {"messages": short(client.messages), "pongs": short(client.pongs), "code": factory.code, "close frame": factory.seen_close, "extensions": [str(e) for e in client.extensions]}
    except (asyncio.TimeoutError, OSError, AttributeError) as error:
        wrong, got = f"no end: {error!r}", {}
    finally:
        if transport:
            transport.abort()
    return {"case": case.name, "ok": not wrong, "wrong": wrong, "got": got}


def judge(case, factory, client):
    if client.extensions:
        return "an extension was negotiated"
    if case.prefix and client.messages != case.messages[:len(client.messages)]:
        return "other messages"
    if not case.prefix and client.messages != case.messages:
        return "other messages"
    if case.some and (not client.pongs or client.pongs != [p for p in case.pongs if p in client.pongs]):
        return "other pongs"
    if not case.prefix and not case.some and client.pongs != case.pongs:
        return "other pongs"
    if not factory.seen_close:
        return "" if DROPPED in case.ends else "no close frame"
    return "" if factory.code in case.ends else f"close {factory.code}, not {case.ends}"


async def main(port):
    cases = [case for group in (framing, pings, reserved, opcodes, fragmentation, utf8, closing, limits, compression) for case in group()]
    gate, failed = asyncio.Semaphore(AT_ONCE), 0

    async def one(case):
        async with gate:
            return await run(port, case)

    for result in await asyncio.gather(*(one(case) for case in cases)):
        failed += not result["ok"]
        print(json.dumps(result))
    print(json.dumps({"cases": len(cases), "failed": failed}))


asyncio.run(main(int(sys.argv[1])))
