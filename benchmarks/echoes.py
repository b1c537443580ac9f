"""Echo servers, one for each library, for `capacity`.

    python benchmarks/echoes.py duologue|pipecat|fastrtc PORT

Each accepts ``POST /offer`` with ``{"sdp", "type"}``, and decodes and re-encodes the
audio live. pipecat and fastrtc have their own environments.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

_names = itertools.count()


def duologue() -> Any:
    """The peer of the local service."""
    import json

    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from duologue.transports.drivers.webrtc.peer import Peer

    peers: list[Peer] = []

    async def offer(request: Any) -> JSONResponse:
        line = bytearray()

        def next_audio() -> bytes:
            frame = bytes(line[:960])
            del line[:960]
            return frame

        peer = Peer(
            on_message=lambda _: None,
            on_audio=line.extend,
            next_audio=next_audio,
            on_closed=lambda _: None,
        )
        peers.append(peer)
        answer = await peer.answer(json.loads(await request.body())["sdp"])
        return JSONResponse({"sdp": answer, "type": "answer"})

    return Starlette(routes=[Route("/offer", offer, methods=["POST"])])


def pipecat() -> Any:
    """SmallWebRTC with a pipeline of input, echo and output."""
    from fastapi import FastAPI
    from loguru import logger
    from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineParams, PipelineTask
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.transports.base_transport import TransportParams
    from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
    from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport

    logger.remove()
    running: list[Any] = []

    class Echo(FrameProcessor):
        async def process_frame(self, frame: Any, direction: Any) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, InputAudioRawFrame):
                frame = OutputAudioRawFrame(
                    audio=frame.audio,
                    sample_rate=frame.sample_rate,
                    num_channels=frame.num_channels,
                )
            await self.push_frame(frame, direction)

    async def run(connection: Any) -> None:
        transport = SmallWebRTCTransport(
            webrtc_connection=connection,
            params=TransportParams(
                audio_in_enabled=True,
                audio_out_enabled=True,
                audio_in_sample_rate=24_000,
                audio_out_sample_rate=24_000,
            ),
        )
        pipeline = Pipeline([transport.input(), Echo(), transport.output()])
        params = PipelineParams(
            audio_in_sample_rate=24_000, audio_out_sample_rate=24_000
        )
        task = PipelineTask(pipeline, params=params, idle_timeout_secs=None)
        await PipelineRunner(handle_sigint=False).run(task)

    app = FastAPI()

    @app.post("/offer")
    async def offer(body: dict[str, str]) -> Any:
        connection = SmallWebRTCConnection()
        await connection.initialize(sdp=body["sdp"], type=body["type"])
        running.append(asyncio.create_task(run(connection)))
        return connection.get_answer()

    return app


def fastrtc() -> Any:
    """A stream handler whose `emit` returns the frames of `receive`."""
    from fastapi import FastAPI
    from fastrtc import AsyncStreamHandler, Stream

    class Echo(AsyncStreamHandler):
        def __init__(self) -> None:
            super().__init__(input_sample_rate=24_000, output_sample_rate=24_000)
            self.queue: asyncio.Queue[Any] = asyncio.Queue()

        async def receive(self, frame: Any) -> None:
            self.queue.put_nowait(frame)

        async def emit(self) -> Any:
            return await self.queue.get()

        def copy(self) -> Echo:
            return Echo()

        async def start_up(self) -> None:
            pass

        async def shutdown(self) -> None:
            pass

    stream = Stream(
        Echo(), modality="audio", mode="send-receive", concurrency_limit=1000
    )
    app = FastAPI()
    stream.mount(app)

    @app.post("/offer")
    async def offer(body: dict[str, str]) -> Any:
        return await stream.handle_offer(
            {**body, "webrtc_id": f"caller{next(_names)}"}, set_outputs=lambda *_: None
        )

    return app


def main() -> None:
    """Serve until killed."""
    import uvicorn

    app = {"duologue": duologue, "pipecat": pipecat, "fastrtc": fastrtc}[sys.argv[1]]()
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")


if __name__ == "__main__":
    main()
