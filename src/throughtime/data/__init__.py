"""Reading: text, vocabularies and the windows a network sees."""
