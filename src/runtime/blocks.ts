// Trained tensors joined into one matrix, so that an optimizer step on a device is a few large operations, not a few for each tensor:
// there the time of small ones is that of starting them.
import type { Optimizer } from "#src/graph/optimizer.ts"
import { type Shape, sizeOf } from "#src/graph/Type.ts"
import { elementwise } from "./updateTensor.ts"

export interface BlockTensor {
  readonly name: string
  readonly shape: Shape
  /** Tensors with the same learning rate and weight decay. */
  readonly group: number
}

/** What the update treats as one tensor. */
export interface Block extends BlockTensor {
  /** One below the other, each as rows as wide as the block; a block of one has its name and shape. */
  readonly tensors: readonly BlockTensor[]
}

/** Values that one update makes anew while it still holds the old ones: 256 MB each of weights and moments. */
export const blockValues = 2 ** 26

/** CUDA's Split and Concat send the device a table with an entry for each row in each step: at most 1 MB. */
const blockRows = 2 ** 17

/** Greatest common divisor. */
const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

interface Open {
  readonly group: number
  size: number
  /** Divides the size of each tensor. */
  width: number
  readonly tensors: BlockTensor[]
}

/** Tensors of one group together, a large one alone; each alone where the optimizer looks at rows and columns. */
export const blocksOf = (optimizer: Optimizer, tensors: readonly BlockTensor[]): readonly Block[] => {
  const blocks: Open[] = []
  for (const tensor of tensors) {
    const size = sizeOf(tensor.shape)
    const hasRoom = (open: Open): boolean => {
      const sum = open.size + size
      return open.group === tensor.group && sum <= blockValues && sum / gcd(open.width, size) <= blockRows
    }
    const open = elementwise(optimizer) ? blocks.find(hasRoom) : undefined
    if (open === undefined) blocks.push({ group: tensor.group, size, width: size, tensors: [tensor] })
    else {
      open.tensors.push(tensor)
      open.size += size
      open.width = gcd(open.width, size)
    }
  }
  return blocks.map(({ group, size, width, tensors: members }, i) => {
    const [only, ...others] = members as [BlockTensor, ...BlockTensor[]]
    return others.length === 0
      ? { ...only, tensors: members }
      : { name: `block ${i}`, shape: [size / width, width], group, tensors: members }
  })
}

/** Whether the block is more than a tensor of its own. */
export const isJoined = ({ tensors }: Block): boolean => tensors.length > 1
