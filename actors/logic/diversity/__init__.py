"""How unlike one another the personas of a corpus are: figures of texts and of vectors. Reads no file and no clock."""
