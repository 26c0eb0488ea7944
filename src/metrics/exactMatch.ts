// Exact match: whether an answer is the reference, character by character.

/** Only space around the texts is ignored; case, punctuation and inner spacing count. */
export const exactMatch = (answer: string, reference: string): boolean => answer.trim() === reference.trim()
