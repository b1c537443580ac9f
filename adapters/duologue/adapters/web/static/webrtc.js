// A call: the microphone to the service and the reply back, over WebRTC. The sound goes
// between browser and service; our server only passes on the two descriptions.

const GATHER_MS = 3_000;
const OPEN_MS = 15_000;
/** What counts as silence on a meter, in dB of full scale. */
const FLOOR_DB = -60;

/** What the microphone is asked for where nobody says otherwise. */
export const MICROPHONE = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  sampleRate: 24_000,
  channelCount: 1,
};

/**
 * Why there is no call. `code` is one of `insecure`, `no-webrtc`, `no-microphone`,
 * `denied`, `busy`, `microphone` (another failure of it), `refused` (the service or the
 * server said no) and `unreachable` (no connection came about).
 */
export class CallError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }
}

/** What keeps this browser from any call: `insecure`, `no-webrtc`, or null. */
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
 * @param {MediaTrackConstraints} [wanted] each is asked for, none is insisted on; with
 *   `deviceId` that device is.
 * @returns {Promise<MediaStream>}
 * @throws {CallError}
 */
export async function openMicrophone(wanted = MICROPHONE) {
  const { deviceId, ...rest } = wanted;
  const audio = deviceId ? { ...rest, deviceId: { exact: deviceId } } : rest;
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new CallError(obstacle() ?? "no-microphone", "this page gets no microphone");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const code = REFUSALS[error.name] ?? "microphone";
    throw new CallError(code, error.message, { cause: error });
  }
}

/** How loud a stream is, by an AnalyserNode. */
export class Meter {
  /** @param {AudioContext} context @param {MediaStream} stream */
  constructor(context, stream) {
    this.source = context.createMediaStreamSource(stream);
    this.analyser = new AnalyserNode(context, { fftSize: 1024 });
    this.samples = new Float32Array(this.analyser.fftSize);
    this.source.connect(this.analyser);
  }

  /** The level just now: 0 is -60 dB of full scale or less, 1 is full scale. */
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

/** The AudioContext of the meters; a page needs one, made at a gesture. */
export function audioContext() {
  sharedContext ??= new AudioContext();
  if (sharedContext.state === "suspended") sharedContext.resume();
  return sharedContext;
}

/** One call. Make it with `Call.open`. */
export class Call {
  /**
   * Connects: gathers addresses, posts the offer, waits for the data channel.
   *
   * @param {object} options
   * @param {MediaStream | null} options.microphone null: nothing is sent, only heard.
   * @param {(sdp: string) => Promise<string>} options.post the offer to its answer.
   * @param {(state: "connecting" | "open" | "closed") => void} [options.onState]
   * @param {(event: object) => void} [options.onEvent] events on the data channel.
   * @param {() => void} [options.onBlocked] the browser plays only after a gesture:
   *   call `play()` at one.
   * @param {() => void} [options.onMicrophoneLost] the device is gone.
   * @returns {Promise<Call>}
   * @throws {CallError}
   */
  static async open(options) {
    const why = obstacle();
    if (why) throw new CallError(why, "this browser cannot call from here");
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
    // In both directions even without a microphone: one may come later.
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

  /** Sends a client event on the data channel; nothing if that is closed. */
  send(event) {
    if (this.channel.readyState !== "open") return;
    this.channel.send(JSON.stringify(event));
  }

  /** Whether the microphone is silenced here; the track stays. */
  get muted() {
    return this.silent;
  }

  set muted(muted) {
    this.silent = muted;
    for (const stream of [this.microphone, this.coming]) {
      for (const track of stream?.getAudioTracks() ?? []) track.enabled = !muted;
    }
  }

  /** How loud the reply is played, 0 to 1. */
  set volume(volume) {
    this.audio.volume = volume;
  }

  /** Which device plays the reply; browsers without `setSinkId` keep theirs. */
  async setOutput(deviceId) {
    await this.audio.setSinkId?.(deviceId);
  }

  /** Plays the reply; from a gesture where the browser asked for one. */
  async play() {
    audioContext();
    try {
      await this.audio.play();
    } catch (error) {
      if (error.name === "NotAllowedError") this.handlers.onBlocked?.();
    }
  }

  /** Puts another microphone in the place of this one; the old one is let go. */
  async replaceMicrophone(stream) {
    const old = this.microphone;
    this.coming = stream;
    // Before it can be heard; and who mutes meanwhile mutes both.
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

  /** What the browser granted of what the microphone was asked for. */
  granted() {
    return this.microphone?.getAudioTracks()[0]?.getSettings() ?? null;
  }

  /** Levels of microphone and reply, 0 to 1. */
  levels() {
    return { microphone: this.near?.level() ?? 0, reply: this.far?.level() ?? 0 };
  }

  /** Hangs up at this end, and lets the microphone go. */
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
      throw new CallError("unreachable", "no connection to the service came about");
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

/** Ends the tracks of a stream, so that the browser's sign of recording goes out. */
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
