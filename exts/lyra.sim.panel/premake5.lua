-- Only for people who build inside the Isaac Sim or kit-app-template tree; a checkout needs no build.
local ext = get_current_extension_info()
project_ext(ext)
repo_build.prebuild_link {
    { "data", ext.target_dir .. "/data" },
    { "docs", ext.target_dir .. "/docs" },
    { "lyra", ext.target_dir .. "/lyra" },
}
