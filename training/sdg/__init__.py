"""Teacher data in the layout that Lyra published: `<view>/{rgb,latent,depth,pose,intrinsics}/<scene>`."""
