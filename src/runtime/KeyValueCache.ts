// Keys and values of earlier positions on the host, and the mask that hides places not yet used: a decoding graph reads them
// in place, what it computes for the new position is copied into its place.
import type { ModelConfig } from "#src/models/Model.ts"

/** Added to the scores of hidden places: finite, so that nothing can become NaN. */
const hidden = -3.4028234663852886e38

type Shape = Pick<ModelConfig, "num_hidden_layers" | "num_key_value_heads" | "head_dim">

/** Of one graph run, per layer: arrays [B, KV, T, hd]. */
export interface Present {
  readonly keys: readonly Float32Array[]
  readonly values: readonly Float32Array[]
}

export class KeyValueCache {
  readonly #rows: number
  readonly #shape: Shape
  #capacity: number
  #keys: Float32Array[]
  #values: Float32Array[]
  #mask: Float32Array

  /** `capacity` places for each of `rows` rows, all hidden. */
  constructor(shape: Shape, rows: number, capacity: number) {
    this.#shape = shape
    this.#rows = rows
    this.#capacity = capacity
    this.#keys = this.#arrays()
    this.#values = this.#arrays()
    this.#mask = this.#openMask()
  }

  get capacity(): number {
    return this.#capacity
  }
  /** Per layer [B, KV, C, hd]. */
  get keys(): readonly Float32Array[] {
    return this.#keys
  }
  get values(): readonly Float32Array[] {
    return this.#values
  }
  /** [B, 1, 1, C + 1]: the last place is the new token itself. */
  get mask(): Float32Array {
    return this.#mask
  }

  /** Copies T positions of every row behind the `used[b]` places that row b has in use; of these, `count[b]` are shown. */
  append({ keys, values }: Present, T: number, used: readonly number[], count: readonly number[]): void {
    keys.forEach((key, layer) => this.#copy(key, this.#keys[layer] as Float32Array, T, this.#capacity, used))
    values.forEach((value, layer) => this.#copy(value, this.#values[layer] as Float32Array, T, this.#capacity, used))
    used.forEach((from, row) => {
      const start = row * (this.#capacity + 1) + from
      this.#mask.fill(0, start, start + (count[row] as number))
    })
  }

  /** More places; what is stored and shown stays. */
  grow(capacity: number): void {
    const { keys, values } = { keys: this.#keys, values: this.#values }
    const before = { mask: this.#mask, capacity: this.#capacity }
    const start = Array.from({ length: this.#rows }, () => 0)
    this.#capacity = capacity
    this.#keys = this.#arrays()
    this.#values = this.#arrays()
    this.#mask = this.#openMask()
    keys.forEach((key, layer) => this.#copy(key, this.#keys[layer] as Float32Array, before.capacity, capacity, start))
    values.forEach((value, layer) => this.#copy(value, this.#values[layer] as Float32Array, before.capacity, capacity, start))
    for (let row = 0; row < this.#rows; row++) {
      const from = row * (before.capacity + 1)
      this.#mask.set(before.mask.subarray(from, from + before.capacity), row * (capacity + 1))
    }
  }

  #arrays(): Float32Array[] {
    const { num_hidden_layers, num_key_value_heads, head_dim } = this.#shape
    const size = this.#rows * num_key_value_heads * this.#capacity * head_dim
    return Array.from({ length: num_hidden_layers }, () => new Float32Array(size))
  }

  #openMask(): Float32Array {
    const width = this.#capacity + 1
    return Float32Array.from({ length: this.#rows * width }, (_, i) => (i % width === this.#capacity ? 0 : hidden))
  }

  /** [B, KV, from, hd] into [B, KV, to, hd], row b at place start[b]. */
  #copy(source: Float32Array, target: Float32Array, from: number, to: number, start: readonly number[]): void {
    const { num_key_value_heads: heads, head_dim: width } = this.#shape
    start.forEach((place, row) => {
      for (let head = 0; head < heads; head++) {
        const at = row * heads + head
        target.set(source.subarray(at * from * width, (at + 1) * from * width), (at * to + place) * width)
      }
    })
  }
}
