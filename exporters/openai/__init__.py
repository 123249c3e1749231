"""Files for OpenAI's fine-tuning, and for services that take the same. https://platform.openai.com/docs/guides/model-optimization"""
