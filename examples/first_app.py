"""A first voice app: speaks a question, prints both sides, records the answer."""

import asyncio
import sys

from duologue.core import SessionConfig, select_is_settled, select_transcripts
from duologue.core.events import Transcription
from duologue.local import LocalService
from duologue.transports import Client, Credentials, WavSink, WavSource, webrtc


def is_answered(session):
    last = [line.role for line in select_transcripts(session)][-1:]
    return last == ["assistant"] and select_is_settled(session)


async def main(question, answer):
    config = SessionConfig(transcription=Transcription())
    async with (
        LocalService() as service,
        Client(credentials=Credentials("any"), base_url=service.base_url) as client,
    ):
        with WavSink(answer) as speaker:
            transport = webrtc(source=WavSource(question), sink=speaker)
            session = await client.start_session(config, transport=transport)
            session.on("transcript", lambda line: print(f"{line.role}: {line.text}"))
            await session.until(is_answered, timeout=30)


asyncio.run(main(*sys.argv[1:]))
