// Trained tensors side by side as one long vector, so that an optimizer step on a device is a few large operations, not a few for each tensor:
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
  /** Side by side, each in row-major order; a block of one has its name and shape. */
  readonly tensors: readonly BlockTensor[]
}

/** Values that one update makes anew while it still holds the old ones: 256 MB each of weights and moments. */
export const blockValues = 2 ** 26

/** Neighbours of one group up to `blockValues`, a larger tensor alone; each alone where the optimizer looks at rows and columns. */
export const blocksOf = (optimizer: Optimizer, tensors: readonly BlockTensor[]): readonly Block[] => {
  const blocks: { readonly group: number; size: number; readonly tensors: BlockTensor[] }[] = []
  for (const tensor of tensors) {
    const size = sizeOf(tensor.shape)
    const open = blocks.findLast(({ group }) => group === tensor.group)
    if (open !== undefined && elementwise(optimizer) && open.size + size <= blockValues) {
      open.tensors.push(tensor)
      open.size += size
    } else blocks.push({ group: tensor.group, size, tensors: [tensor] })
  }
  return blocks.map(({ group, size, tensors }, i) => {
    const [only, ...others] = tensors as [BlockTensor, ...BlockTensor[]]
    return others.length === 0 ? { ...only, tensors } : { name: `block ${i}`, shape: [size], group, tensors }
  })
}

/** Whether the block is more than a tensor of its own. */
export const isJoined = ({ tensors }: Block): boolean => tensors.length > 1
