"""A writer killed with SIGKILL ten times: no answer that was committed is asked for again, and all are there at last.

What can be lost: answers under way, from the server's last byte to our commit; no more than are asked at once.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripted import Answer, ScriptedServer
from writer import requests

from kogner.llm.cache import Cache

KILLS, COUNT, AT_ONCE = 10, 500, 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_ten_times(tmp_path):
    pytest.importorskip("openai", reason="the extra 'llm' is not installed")
    dice, path = random.Random(7), tmp_path / "answers.db"
    delays = random.Random(8)
    with ScriptedServer(lambda seen: Answer(f"answer to {seen.user}", delay_s=delays.uniform(0, 0.03))) as server:
        everything = requests(server.spec, COUNT)
        command = [sys.executable, Path(__file__).parent / "writer.py", server.spec, path, str(COUNT), str(AT_ONCE)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:

            def start():
                writer.stdin.write("go\n")
                writer.stdin.flush()
                return int(writer.stdout.readline())

            lost, known, sent_before = 0, set(), set()
            for _ in range(KILLS):
                before = len(server.seen)
                pid = start()
                wanted = before + dice.randrange(0, 45)
                while len(server.seen) < wanted:
                    time.sleep(0.001)
                time.sleep(dice.uniform(0, 0.03))
                os.kill(pid, signal.SIGKILL)
                assert int(writer.stdout.readline()) == signal.SIGKILL
                time.sleep(0.05)  # what was under way at the server ends
                with Cache(path) as cache:
                    kept = {one.user for one in everything if one in cache}
                sent = {seen.user for seen in server.seen if seen.sent}
                assert kept <= sent
                assert not {seen.user for seen in server.seen[before:]} & known
                lost += len(sent - kept - sent_before)
                known, sent_before = kept, sent
            before = len(server.seen)
            assert 0 < len(known) < COUNT  # the kills came while there was work
            start()
            assert int(writer.stdout.readline()) == 0  # every key has an answer
            assert not {seen.user for seen in server.seen[before:]} & known
            writer.stdin.close()
        with Cache(path) as cache:
            assert [cache.get(one).text for one in everything] == [f"answer to {one.user}" for one in everything]
        assert lost <= KILLS * AT_ONCE and len(server.seen) <= COUNT + KILLS * AT_ONCE
        asked = server.asked()
        assert max(asked.values()) <= KILLS + 1 and sum(asked.values()) - COUNT <= KILLS * AT_ONCE
