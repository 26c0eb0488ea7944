// Perplexity over tokens: every token weighs the same, however the rows were batched.

/** exp of the mean negative log-likelihood (nats) per trained token; NaN without tokens, Infinity where it overflows. */
export const perplexity = (sumNll: number, tokens: number): number => Math.exp(sumNll / tokens)

/** The loss per byte of text in bits: comparable between models whose tokenizers differ. `bytes` of UTF-8. */
export const bitsPerByte = (sumNll: number, bytes: number): number => sumNll / (Math.LN2 * bytes)
