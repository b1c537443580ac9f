"""Speech: recognition (ASR), synthesis (TTS), voice activity detection."""
