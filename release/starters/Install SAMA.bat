@echo off
rem For a double-click on Windows: finds a Python that fits and starts the installer with it.
setlocal
cd /d "%~dp0"
set "FITS=import sys; sys.exit(sys.version_info < (3, 10))"
for %%P in ("py -3" "python" "python3") do (
    %%~P -c "%FITS%" >nul 2>nul && (
        %%~P install.py %*
        goto end
    )
)
echo SAMA needs Python 3.10 or newer, and none was found.
echo Get it from https://www.python.org/downloads/windows/ or from the Microsoft Store, then start this again.
:end
pause
