// A call over WebRTC: the microphone to the service, and the reply back. Audio flows
// between browser and service; the server only forwards the SDP offer and answer.

const GATHER_MS = 3_000;
const OPEN_MS = 15_000;
/** The level that a meter shows as 0, in dB of full scale. */
const FLOOR_DB = -60;

/** The default constraints of the microphone. */
export const MICROPHONE = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  sampleRate: 24_000,
  channelCount: 1,
};

/**
 * A call failed. `code` is `insecure`, `no-webrtc`, `no-microphone`, `denied`, `busy`,
 * `microphone` (any other failure of the microphone), `refused` (by the service) or
 * `unreachable` (no connection to the service).
 */
export class CallError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }
}

/** Why this browser cannot call at all: `insecure`, `no-webrtc`, or null. */
export function obstacle() {
  if (globalThis.isSecureContext === false) return "insecure";
  return typeof globalThis.RTCPeerConnection === "function" ? null : "no-webrtc";
}

const REFUSALS = {
  NotFoundError: "no-microphone",
  OverconstrainedError: "no-microphone",
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotReadableError: "busy",
  AbortError: "busy",
};

/**
 * Opens the microphone.
 *
 * @param {MediaTrackConstraints} [wanted] the browser may ignore all constraints except
 *   `deviceId`.
 * @returns {Promise<MediaStream>}
 * @throws {CallError}
 */
export async function openMicrophone(wanted = MICROPHONE) {
  const { deviceId, ...rest } = wanted;
  const audio = deviceId ? { ...rest, deviceId: { exact: deviceId } } : rest;
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new CallError(obstacle() ?? "no-microphone", "this page has no microphone");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const code = REFUSALS[error.name] ?? "microphone";
    throw new CallError(code, error.message, { cause: error });
  }
}

/** Measures the level of a stream with an AnalyserNode. */
export class Meter {
  /** @param {AudioContext} context @param {MediaStream} stream */
  constructor(context, stream) {
    this.source = context.createMediaStreamSource(stream);
    this.analyser = new AnalyserNode(context, { fftSize: 1024 });
    this.samples = new Float32Array(this.analyser.fftSize);
    this.source.connect(this.analyser);
  }

  /** The current level: 0 is -60 dB of full scale or less, 1 is full scale. */
  level() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const power = this.samples.reduce((sum, sample) => sum + sample * sample, 0);
    const db = 10 * Math.log10(power / this.samples.length + 1e-12);
    return Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
  }

  stop() {
    this.source.disconnect();
  }
}

let sharedContext;

/** The AudioContext of all meters, created at the first gesture. */
export function audioContext() {
  sharedContext ??= new AudioContext();
  if (sharedContext.state === "suspended") sharedContext.resume();
  return sharedContext;
}

/** One call. Make it with `Call.open`. */
export class Call {
  /**
   * Connects: gathers candidates, posts the offer, waits for the data channel.
   *
   * @param {object} options
   * @param {MediaStream | null} options.microphone null: send no audio.
   * @param {(sdp: string) => Promise<string>} options.post from offer to answer.
   * @param {(state: "open" | "closed") => void} [options.onState]
   * @param {(event: object) => void} [options.onEvent] events on the data channel.
   * @param {() => void} [options.onBlocked] playback needs a user gesture: call
   *   `play()` in its handler.
   * @param {() => void} [options.onMicrophoneLost] the device was lost.
   * @returns {Promise<Call>}
   * @throws {CallError}
   */
  static async open(options) {
    const why = obstacle();
    if (why) throw new CallError(why, "this browser cannot make calls on this page");
    const call = new Call(options);
    try {
      await call.#connect(options.post);
    } catch (error) {
      call.close();
      throw error;
    }
    return call;
  }

  constructor({ microphone, onState, onEvent, onBlocked, onMicrophoneLost }) {
    this.state = "connecting";
    this.handlers = { onState, onEvent, onBlocked, onMicrophoneLost };
    this.peer = new RTCPeerConnection();
    this.channel = this.peer.createDataChannel("oai-events");
    this.audio = new Audio();
    this.audio.autoplay = true;
    // In both directions even without a microphone: one can be added later.
    const [track] = microphone?.getAudioTracks() ?? [];
    const streams = microphone ? [microphone] : [];
    this.sender = this.peer.addTransceiver(track ?? "audio", { streams }).sender;
    this.microphone = null;
    this.silent = false;
    if (microphone) this.#use(microphone);
    this.peer.ontrack = ({ track, streams }) =>
      this.#hear(streams[0] ?? new MediaStream([track]));
    this.peer.onconnectionstatechange = () =>
      this.peer.connectionState === "failed" && this.close();
    this.channel.onclose = () => this.close();
    this.channel.onmessage = ({ data }) => onEvent?.(JSON.parse(data));
  }

  /** Sends a client event on the data channel; does nothing if it is closed. */
  send(event) {
    if (this.channel.readyState !== "open") return;
    this.channel.send(JSON.stringify(event));
  }

  /** Whether the microphone is muted; the track stays open. */
  get muted() {
    return this.silent;
  }

  set muted(muted) {
    this.silent = muted;
    for (const stream of [this.microphone, this.coming]) {
      for (const track of stream?.getAudioTracks() ?? []) track.enabled = !muted;
    }
  }

  /** The playback volume, 0 to 1. */
  set volume(volume) {
    this.audio.volume = volume;
  }

  /** Selects the output device, in browsers with `setSinkId`. */
  async setOutput(deviceId) {
    await this.audio.setSinkId?.(deviceId);
  }

  /** Starts playback; after `onBlocked`, call it in a gesture. */
  async play() {
    audioContext();
    try {
      await this.audio.play();
    } catch (error) {
      if (error.name === "NotAllowedError") this.handlers.onBlocked?.();
    }
  }

  /** Replaces the microphone and stops the old one. */
  async replaceMicrophone(stream) {
    const old = this.microphone;
    this.coming = stream;
    // Before its audio is sent. Until then, muting applies to both microphones.
    this.muted = this.silent;
    try {
      await this.sender.replaceTrack(stream.getAudioTracks()[0]);
    } catch (error) {
      stopTracks(stream);
      throw error;
    } finally {
      this.coming = null;
    }
    this.#use(stream);
    stopTracks(old);
  }

  /** The settings of the microphone that the browser granted. */
  granted() {
    return this.microphone?.getAudioTracks()[0]?.getSettings() ?? null;
  }

  /** The levels of microphone and reply, 0 to 1. */
  levels() {
    return { microphone: this.near?.level() ?? 0, reply: this.far?.level() ?? 0 };
  }

  /** Closes the connection and stops the microphone. */
  close() {
    if (this.state === "closed") return;
    stopTracks(this.microphone);
    this.near?.stop();
    this.far?.stop();
    this.peer.close();
    this.audio.srcObject = null;
    this.#enter("closed");
  }

  async #connect(post) {
    await this.peer.setLocalDescription();
    await within(gathered(this.peer), GATHER_MS);
    const sdp = await post(this.peer.localDescription.sdp);
    await this.peer.setRemoteDescription({ type: "answer", sdp });
    await within(opened(this.channel), OPEN_MS);
    if (this.channel.readyState !== "open") {
      throw new CallError("unreachable", "the connection to the service failed");
    }
    this.#enter("open");
  }

  #enter(state) {
    this.state = state;
    this.handlers.onState?.(state);
  }

  #use(stream) {
    const [track] = stream.getAudioTracks();
    this.microphone = stream;
    this.near?.stop();
    this.near = new Meter(audioContext(), stream);
    track.addEventListener("ended", () => {
      if (this.microphone === stream) this.handlers.onMicrophoneLost?.();
    });
  }

  #hear(stream) {
    this.audio.srcObject = stream;
    this.far = new Meter(audioContext(), stream);
    this.play();
  }
}

/** Stops the tracks of a stream, and so turns the browser's recording indicator off. */
export function stopTracks(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

function gathered(peer) {
  return new Promise((resolve) => {
    const look = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", look);
    look();
  });
}

function opened(channel) {
  return new Promise((resolve) => {
    channel.addEventListener("open", resolve);
    channel.addEventListener("close", resolve);
    if (channel.readyState !== "connecting") resolve();
  });
}

function within(promise, ms) {
  return Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms))]);
}
