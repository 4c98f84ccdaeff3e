"""Judge scenes: PSNR, SSIM and LPIPS against photographs, videos and the protocols of the field."""
