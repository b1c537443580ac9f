"""A first voice app: speaks a question, prints both sides, records the answer.

python examples/first_app.py examples/question.wav answer.wav
"""

import asyncio
import sys

from duologue.core import SessionConfig
from duologue.core.events import Transcription
from duologue.local import LocalService
from duologue.transports import Client, Credentials, WavSink, WavSource, webrtc


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
            async with asyncio.timeout(30):
                await anext(session.replies())


asyncio.run(main(*sys.argv[1:]))
