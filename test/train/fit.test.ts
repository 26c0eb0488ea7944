// What the train stage says or refuses where rows, options and model do not fit.
import { expect, test } from "vitest"
import { dropoutNotes, lengthWarnings } from "#stages/train/fit.ts"
import { failureOf, tinyModel } from "../models/folder.ts"

const gpt2 = () =>
  tinyModel(
    {},
    { model_type: "gpt2", vocab_size: 11, n_positions: 32, n_embd: 8, n_layer: 1, n_head: 2, attn_pdrop: 0.1, resid_pdrop: 0.2 }
  )

test("rows beyond max_position_embeddings are warned of, beyond learned positions refused", async () => {
  expect(lengthWarnings(tinyModel(), 32)).toEqual([])
  expect(lengthWarnings(tinyModel(), 33)).toEqual(["rows of up to 33 tokens go beyond the model's max_position_embeddings, 32"])
  expect(lengthWarnings(gpt2(), 32)).toEqual([])
  const error = await failureOf(() => lengthWarnings(gpt2(), 33))
  expect(error.message).toBe("rows of up to 33 tokens, but this gpt2 model has 32 positions")
  expect(error.hint).toMatch(/maxLength .* 32/)
})

test("a config's dropout that the options do not name is said", () => {
  const options = { attentionDropout: 0, residualDropout: 0.2, embeddingDropout: 0 }
  expect(dropoutNotes(gpt2(), options)).toEqual([
    "config.json names a dropout of 0.1 (attention), this training uses attentionDropout: 0",
    "config.json names a dropout of 0.1 (embedding), this training uses embeddingDropout: 0"
  ])
  expect(dropoutNotes(tinyModel(), options)).toEqual([])
})
