"""Reply models: scripted replies, and a language model by URL."""
