// LoRA and DoRA worked into plain weights, with sums in float64: W + scale B A, and for DoRA its rows brought to the learned lengths.
import type { Weights } from "#src/models/Model.ts"
import type { LoraLayer } from "./loraLayers.ts"

/** Where element (out, in) of a layer's weight lies. The embedding [vocab, hidden] has its inputs (the ids) as rows. */
const placesOf = ({
  linear,
  a,
  b
}: LoraLayer): { readonly out: number; readonly in: number; readonly at: (o: number, i: number) => number } => {
  const [out, ins] = [b.shape[0] as number, a.shape[1] as number]
  const byInput = linear === undefined || linear.transposed === true
  return { out, in: ins, at: byInput ? (o, i) => i * out + o : (o, i) => o * ins + i }
}

/** weight += scale B A. */
export const addProduct = (weight: Float32Array, layer: LoraLayer, own: Weights): void => {
  const { r, scale } = layer
  const [a, b] = [own.read(layer.a.name), own.read(layer.b.name)]
  const { out, in: ins, at } = placesOf(layer)
  const row = new Float64Array(ins)
  for (let o = 0; o < out; o++) {
    row.fill(0)
    for (let k = 0; k < r; k++) {
      const factor = b[o * r + k] as number
      for (let i = 0; i < ins; i++) row[i] = (row[i] as number) + factor * (a[k * ins + i] as number)
    }
    for (let i = 0; i < ins; i++) {
      const place = at(o, i)
      weight[place] = (weight[place] as number) + scale * (row[i] as number)
    }
  }
}

/** Euclidean lengths of a weight's rows (one per output), as DoRA's magnitude begins. */
export const rowLengths = (weight: Float32Array, layer: LoraLayer): Float32Array => {
  const { out, in: ins, at } = placesOf(layer)
  return Float32Array.from({ length: out }, (_, o) => {
    let sum = 0
    for (let i = 0; i < ins; i++) sum += (weight[at(o, i)] as number) ** 2
    return Math.sqrt(sum)
  })
}

/** The layer's weight with the adapter worked in; `weight` is the base's and is changed. */
export const mergeLayer = (weight: Float32Array, layer: LoraLayer, own: Weights): void => {
  addProduct(weight, layer, own)
  if (layer.magnitude === undefined) return
  const wanted = own.read(layer.magnitude.name)
  const lengths = rowLengths(weight, layer)
  const { out, in: ins, at } = placesOf(layer)
  for (let o = 0; o < out; o++) {
    const factor = (wanted[o] as number) / (lengths[o] as number)
    for (let i = 0; i < ins; i++) {
      const place = at(o, i)
      weight[place] = (weight[place] as number) * factor
    }
  }
}
